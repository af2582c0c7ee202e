import { KeyRound } from "lucide-react";
import { useState } from "react";
import type { Question } from "../api/schema";
import { able, show, signIn } from "../account/passkey";
import { t } from "../strings";
import { Button, Fault, Field, Shell } from "../ui/kit";
import { go } from "../ui/route";
import { request, useData, type Problem } from "./api";

const needed = "urn:bridgehead:passkey-needed";

export function SignIn() {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const { data: signUp } = useData("/signup");
  const attempt = async (how: () => Promise<unknown>) => {
    setBusy(true);
    setFault("");
    try {
      await how();
      go("/");
    } catch (err) {
      setFault((err as Problem).message);
      setBusy(false);
    }
  };
  // An account may ask for a passkey after the password.
  const byPassword = () =>
    request("post", "/login", { body: { user: user.trim(), password } }).catch((err: Problem) => {
      const more = err.answer as ({ type?: string } & Question) | undefined;
      if (more?.type !== needed || !able) throw err;
      return show(more);
    });
  return (
    <Shell>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void attempt(byPassword);
        }}
        className="card m-auto flex w-full max-w-md flex-col gap-5 p-6"
      >
        <div>
          <h1 className="text-2xl font-semibold">{t.signIn.title}</h1>
          <p className="mt-1 text-soft">{t.signIn.lead}</p>
        </div>
        {fault && <Fault>{fault}</Fault>}
        <Field label={t.signIn.email} autoComplete="username" inputMode="email" autoFocus required value={user} onChange={(e) => setUser(e.target.value)} />
        <Field
          label={t.signIn.password} type="password" autoComplete="current-password" required value={password}
          onChange={(e) => setPassword(e.target.value)}
        />
        <Button type="submit" look="primary" disabled={busy}>
          {t.signIn.submit}
        </Button>
        {able && (
          <Button icon={KeyRound} disabled={busy} onClick={() => void attempt(signIn)}>
            {t.account.byPasskey}
          </Button>
        )}
        {signUp?.open && (
          <a href="/signup" className="self-center font-medium text-accent hover:underline">
            {t.account.noAccount}
          </a>
        )}
      </form>
    </Shell>
  );
}
