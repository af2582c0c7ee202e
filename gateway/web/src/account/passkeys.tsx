import { KeyRound, Pencil, Trash2 } from "lucide-react";
import { useState } from "react";
import type { Passkey, User } from "../api/schema";
import { request, useData, type Problem } from "../console/api";
import { t } from "../strings";
import { Button, Confirm, Dialog, Fault, Field } from "../ui/kit";
import { AskForm, text } from "./form";
import { able, make } from "./passkey";
import { day, Line, Section } from "./section";

const a = t.account;

export function Passkeys({ me, reload }: { me: User; reload(): void }) {
  const { data, fault, reload: again } = useData("/me/passkeys");
  const [open, setOpen] = useState<"add" | "factor" | Passkey>();
  const [removing, setRemoving] = useState<Passkey>();
  const [trouble, setTrouble] = useState("");
  const close = () => setOpen(undefined);
  const done = () => {
    close();
    again();
    reload();
  };
  const remove = (p: Passkey) =>
    void request("delete", "/me/passkeys/{id}", { path: { id: p.id } }).then(
      () => {
        setTrouble("");
        done();
      },
      (err: Problem) => setTrouble(err.message),
    );
  return (
    <Section title={a.passkeys} lead={able ? a.passkeysLead : a.passkeysNot}>
      {(fault || trouble) && <Fault>{fault?.message ?? trouble}</Fault>}
      {!!data?.length && (
        <ul className="flex flex-col divide-y divide-line">
          {data.map((p) => (
            <Line key={p.id} title={p.name} text={`${p.host} · ${a.made(day.format(new Date(p.created)))} · ${p.used ? a.used(day.format(new Date(p.used))) : a.unused}`}>
              <Button small bare look="plain" icon={Pencil} onClick={() => setOpen(p)}>{a.rename(p.name)}</Button>
              <Button small bare look="plain" icon={Trash2} onClick={() => setRemoving(p)}>{t.console.removeOne(p.name)}</Button>
            </Line>
          ))}
        </ul>
      )}
      <div className="flex flex-wrap gap-3">
        {able && <Button icon={KeyRound} onClick={() => setOpen("add")}>{a.addPasskey}</Button>}
        {(!!data?.length || me.second_factor) && <Button onClick={() => setOpen("factor")}>{me.second_factor ? a.factorOff : a.factorOn}</Button>}
      </div>
      <Dialog open={open === "add"} onClose={close} title={a.addPasskey} text={a.addText}>
        <AskForm action={a.next} save={async (form) => make(text(form, "name").trim(), text(form, "password")).then(done)}>
          <Field label={t.fields.name} name="name" maxLength={64} hint={a.passkeyName} autoComplete="off" />
          <Confirming />
        </AskForm>
      </Dialog>
      <Dialog open={open === "factor"} onClose={close} title={me.second_factor ? a.factorOff : a.factorOn} text={a.factorText}>
        <AskForm
          action={t.console.save}
          save={async (form) => request("patch", "/me", { body: { second_factor: !me.second_factor, old_password: text(form, "password") } }).then(done)}
        >
          <Confirming />
        </AskForm>
      </Dialog>
      <Dialog open={typeof open === "object"} onClose={close} title={typeof open === "object" ? a.rename(open.name) : ""}>
        {typeof open === "object" && (
          <AskForm action={t.console.save} save={async (form) => request("patch", "/me/passkeys/{id}", { path: { id: open.id }, body: { name: text(form, "name").trim() } }).then(done)}>
            <Field label={t.fields.name} name="name" required maxLength={64} defaultValue={open.name} autoComplete="off" />
          </AskForm>
        )}
      </Dialog>
      <Confirm
        open={!!removing} onClose={() => setRemoving(undefined)} title={removing ? t.console.removeTitle(removing.name) : ""} text={a.removePasskey}
        action={t.console.remove} onAction={() => removing && remove(removing)}
      />
    </Section>
  );
}

const Confirming = () => <Field label={a.yourPassword} name="password" type="password" required autoComplete="current-password" />;
