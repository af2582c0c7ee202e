// One's own account: name, password, passkeys, browsers signed in, and all that is kept.

import { Download } from "lucide-react";
import type { User } from "../api/schema";
import { request } from "../console/api";
import { SignedIn, useAccount } from "../people/me";
import { t } from "../strings";
import { Field, Shell } from "../ui/kit";
import { AskForm, text } from "./form";
import { Passkeys } from "./passkeys";
import { Section } from "./section";
import { Calendar } from "./calendar";
import { Sessions } from "./sessions";

const a = t.account;

export function AccountPage() {
  return (
    <Shell
      aside={
        <a href="/console" className="inline-flex min-h-11 items-center rounded-md px-3 font-medium text-accent hover:underline">
          {t.home.console}
        </a>
      }
    >
      <SignedIn>
        <Account />
      </SignedIn>
    </Shell>
  );
}

function Account() {
  const { me, reload } = useAccount();
  return (
    <div className="mx-auto flex w-full max-w-2xl flex-col gap-6 py-4">
      <div>
        <h1 className="text-3xl font-semibold tracking-tight">{a.title}</h1>
        <p className="mt-1 break-words text-soft">{me.email}</p>
      </div>
      <Name me={me} reload={reload} />
      <Password me={me} />
      <Passkeys me={me} reload={reload} />
      <Sessions />
      <Calendar />
      <Section title={a.data} lead={a.dataLead}>
        <a
          href="/api/v1/me/export" download target="_self"
          className="inline-flex min-h-11 items-center gap-2 self-start rounded-md bg-raised px-4 font-medium hover:bg-line"
        >
          <Download aria-hidden className="size-5 shrink-0" />
          {a.download}
        </a>
      </Section>
    </div>
  );
}

function Name({ me, reload }: { me: User; reload(): void }) {
  return (
    <Section title={a.name} lead={a.nameLead}>
      <AskForm
        action={t.console.save} done={a.saved}
        save={async (form) => {
          await request("patch", "/me", { body: { display_name: text(form, "name").trim() } });
          reload();
        }}
      >
        <Field label={t.fields.display_name} name="name" defaultValue={me.display_name} maxLength={64} autoComplete="name" />
      </AskForm>
    </Section>
  );
}

function Password({ me }: { me: User }) {
  return (
    <Section title={t.signIn.password} lead={a.passwordLead}>
      <AskForm
        action={a.changePassword} done={a.passwordChanged}
        save={async (form) => void (await request("patch", "/me", { body: { old_password: text(form, "old"), password: text(form, "new") } }))}
      >
        <input type="hidden" name="username" autoComplete="username" value={me.email} />
        <Field label={a.oldPassword} name="old" type="password" required autoComplete="current-password" />
        <Field label={a.newPassword} name="new" type="password" required minLength={10} autoComplete="new-password" hint={t.hints.password} />
      </AskForm>
    </Section>
  );
}
