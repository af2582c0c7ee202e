import { useState, type FormEvent } from "react";
import { t } from "../strings";
import { Button, Fault, Field, Shell } from "../ui/kit";
import { go } from "../ui/route";
import { request, type Problem } from "./api";

export function SignIn() {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    setBusy(true);
    try {
      await request("POST", "/login", { user: user.trim(), password });
      go("/console");
    } catch (err) {
      setFault((err as Problem).message);
      setBusy(false);
    }
  };
  return (
    <Shell>
      <form onSubmit={(e) => void submit(e)} className="card m-auto flex w-full max-w-md flex-col gap-5 p-6">
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
      </form>
    </Shell>
  );
}
