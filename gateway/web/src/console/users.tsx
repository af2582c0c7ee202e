// What can be done with an account, beside making and deleting it.

import { Check, Eye, EyeOff, LogOut, UserCheck, UserX } from "lucide-react";
import { useState } from "react";
import type { User, UserPatch } from "../api/schema";
import { t } from "../strings";
import { Button, Confirm, Dialog, Fault } from "../ui/kit";
import { request, type Problem } from "./api";

const a = t.account;

export function stateOf(u: User) {
  const first = u.pending ? a.pending : u.disabled ? a.disabled : a.active;
  return [first, u.hidden && a.hidden, u.second_factor && a.factor].filter(Boolean).join(", ");
}

export function UserActions({ user: u, reload }: { user: User; reload(): void }) {
  const [asking, setAsking] = useState<"approve" | "disable" | "revoke">();
  const [trouble, setTrouble] = useState("");
  const path = { id: u.id };
  const act = (done: Promise<unknown>) => void done.then(reload, (err: Problem) => setTrouble(err.message));
  const change = (body: UserPatch) => act(request("patch", "/users/{id}", { path, body }));
  return (
    <>
      {u.disabled ? (
        <Button small bare look={u.pending ? "primary" : "plain"} icon={u.pending ? Check : UserCheck} onClick={() => (u.pending ? setAsking("approve") : change({ disabled: false }))}>
          {u.pending ? a.approve(u.email) : a.enable(u.email)}
        </Button>
      ) : (
        <>
          <Button small bare look="plain" icon={LogOut} onClick={() => setAsking("revoke")}>{a.revoke(u.email)}</Button>
          <Button small bare look="plain" icon={UserX} onClick={() => setAsking("disable")}>{a.disable(u.email)}</Button>
        </>
      )}
      <Button small bare look="plain" icon={u.hidden ? Eye : EyeOff} onClick={() => change({ hidden: !u.hidden })}>
        {u.hidden ? a.show(u.email) : a.hide(u.email)}
      </Button>
      <Dialog open={asking === "approve"} onClose={() => setAsking(undefined)} title={a.approve(u.email)} text={a.approveText}>
        <div className="flex justify-end gap-2">
          <Button onClick={() => setAsking(undefined)}>{t.console.cancel}</Button>
          <Button
            look="primary"
            onClick={() => {
              setAsking(undefined);
              change({ disabled: false });
            }}
          >
            {a.approveIt}
          </Button>
        </div>
      </Dialog>
      <Confirm
        open={asking === "revoke"} onClose={() => setAsking(undefined)} title={a.revoke(u.email)} text={a.revokeText} action={t.console.signOut}
        onAction={() => act(request("post", "/users/{id}/revoke-sessions", { path }))}
      />
      <Confirm
        open={asking === "disable"} onClose={() => setAsking(undefined)} title={a.disable(u.email)} text={a.disableText} action={a.disableIt}
        onAction={() => change({ disabled: true })}
      />
      <Dialog open={!!trouble} onClose={() => setTrouble("")} title={u.email}>
        <Fault>{trouble}</Fault>
      </Dialog>
    </>
  );
}
