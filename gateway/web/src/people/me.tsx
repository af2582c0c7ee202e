// Who is signed in.

import { createContext, useContext, useEffect, type ReactNode } from "react";
import type { User } from "../api/schema";
import { request, useData } from "../console/api";
import { t } from "../strings";
import { Button, Fault, Spinner } from "../ui/kit";
import { go } from "../ui/route";

interface Account {
  me: User;
  /** reload asks for it anew, after a change. */
  reload(): void;
}

const AccountContext = createContext<Account | null>(null);

/** useAccount is the account that is signed in. */
export function useAccount(): Account {
  const account = useContext(AccountContext);
  if (!account) throw new Error("nobody is signed in");
  return account;
}

export const useMe = (): User => useAccount().me;

/** SignedIn shows its children to those who are; others are led to the sign-in. */
export function SignedIn({ children }: { children: ReactNode }) {
  const { data: me, fault, reload } = useData("/me");
  const stranger = fault?.status === 401;
  useEffect(() => {
    if (stranger) go("/signin");
  }, [stranger]);
  if (fault && !stranger)
    return (
      <div className="m-auto max-w-md p-6">
        <Fault action={<Button small onClick={reload}>{t.console.retry}</Button>}>{fault.message}</Fault>
      </div>
    );
  if (!me)
    return (
      <div className="grid min-h-full place-items-center" role="status" aria-label={t.console.loading}>
        <Spinner />
      </div>
    );
  return <AccountContext value={{ me, reload }}>{children}</AccountContext>;
}

export const signOut = () => void request("post", "/logout").finally(() => go("/"));
