// What is switched on or off for the whole bridge, at once.

import { BellRing, Undo2 } from "lucide-react";
import { useState } from "react";
import { AskForm, text } from "../account/form";
import type { AlertsView, Brand, ChatPatch, Delivery } from "../api/schema";
import { t } from "../strings";
import { Button, Checkbox, Fault, Field, Spinner } from "../ui/kit";
import { request, useData, type Problem } from "./api";

export function Settings({ tick }: { tick: number }) {
  const { data, fault, reload } = useData("/settings", undefined, tick);
  const [undo, setUndo] = useState<{ name: string; chat: ChatPatch }>();
  const [trouble, setTrouble] = useState("");
  const set = (chat: ChatPatch, name?: string) =>
    void request("patch", "/settings", { body: { chat } }).then(
      () => {
        setTrouble("");
        setUndo(name ? { name, chat: Object.fromEntries(Object.entries(chat).map(([k, v]) => [k, !v])) } : undefined);
        reload();
      },
      (err: Problem) => setTrouble(err.message),
    );
  return (
    <section className="flex max-w-2xl flex-col gap-4">
      <h1 className="text-2xl font-semibold">{t.console.settings}</h1>
      {(fault || trouble) && <Fault>{fault?.message ?? trouble}</Fault>}
      <div role="status">
        {undo && (
          <p className="flex flex-wrap items-center gap-3 rounded-md bg-good-tint p-3 text-sm text-good">
            {t.console.saved(undo.name)}
            <Button small icon={Undo2} onClick={() => set(undo.chat)}>
              {t.console.undo}
            </Button>
          </p>
        )}
      </div>
      {data ? (
        <>
          <fieldset className="card flex flex-col p-5">
            <legend className="sr-only">{t.chats.title}</legend>
            <h2 aria-hidden className="mb-1 text-lg font-semibold">
              {t.chats.title}
            </h2>
            <Checkbox label={t.console.chatOn} checked={data.chat.enabled} onChange={(e) => set({ enabled: e.target.checked }, t.chats.title)} />
            <Checkbox label={t.console.chatHistory} checked={data.chat.history} onChange={(e) => set({ history: e.target.checked }, t.chats.title)} />
  </fieldset>
          <House house={data.brand} saved={reload} />
          {data.alerts && <Alerts now={data.alerts} saved={reload} />}
        </>
      ) : (
        !fault && <Spinner />
      )}
    </section>
  );
}

/** Alerts asks where alerts go, and sends one to try. */
function Alerts({ now, saved }: { now: AlertsView; saved(): void }) {
  const save = async (form: FormData) => {
    const secret = text(form, "secret");
    await request("patch", "/settings", {
      body: {
        alerts: {
          mail: text(form, "mail").split(/[\s,;]+/).filter(Boolean), webhook: text(form, "webhook").trim(),
          ...(secret && { webhook_secret: secret }), ...(form.get("unsigned") !== null && { webhook_secret: "" }),
        },
      },
    });
    saved();
  };
  return (
    <section aria-labelledby="alerts" className="card flex flex-col gap-4 p-5">
      <h2 id="alerts" className="text-lg font-semibold">
        {t.console.alerts}
      </h2>
      <p className="text-soft">{t.console.alertsLead}</p>
      <AskForm action={t.console.save} done={t.account.saved} save={save}>
        <Field label={t.console.alertsTo} hint={t.console.alertsHint} name="mail" defaultValue={now.mail.join(", ")} inputMode="email" autoComplete="off" />
        <Field label={t.console.webhook} hint={t.console.webhookHint} name="webhook" defaultValue={now.webhook} type="url" autoComplete="off" />
        <Field
          label={t.console.webhookSecret} hint={now.has_webhook_secret ? t.console.webhookSecretKept : t.console.webhookSecretHint}
          name="secret" type="password" autoComplete="new-password" maxLength={200}
        />
        {now.has_webhook_secret && <Checkbox label={t.console.webhookUnsigned} name="unsigned" />}
      </AskForm>
      <TestAlert />
    </section>
  );
}

/** TestAlert sends a test by what is saved, and says what became of it. */
function TestAlert() {
  const [busy, setBusy] = useState(false);
  const [became, setBecame] = useState<Delivery[]>([]);
  const [trouble, setTrouble] = useState("");
  const send = () => {
    setBusy(true);
    void request("post", "/settings/alerts/test", {})
      .then(
        (list) => {
          setTrouble("");
          setBecame(list);
        },
        (err: Problem) => setTrouble(err.message),
      )
      .finally(() => setBusy(false));
  };
  return (
    <div className="flex flex-col gap-3">
      <Button className="self-start" icon={BellRing} disabled={busy} onClick={send}>
        {t.console.alertsTest}
      </Button>
      {trouble && <Fault>{trouble}</Fault>}
      <ul aria-live="polite" className="text-sm">
        {became.map((d) => (
          <li key={d.way} className={d.sent ? "text-good" : d.error ? "text-bad" : "text-soft"}>
            {`${t.console.ways[d.way]}: ${d.sent ? t.console.alertSent : (d.error ?? t.console.alertNowhere)}`}
          </li>
        ))}
      </ul>
    </div>
  );
}

const maxPicture = 500_000; // bytes

/** House asks what the start page says and what those see who wait. */
function House({ house, saved }: { house: Brand; saved(): void }) {
  const save = async (form: FormData) => {
    const file = form.get("image");
    const picture = file instanceof File && file.size > 0 ? file : undefined;
    if (picture && picture.size > maxPicture) throw new Error(t.console.pictureLarge);
    await request("patch", "/settings", {
      body: {
        brand: {
          title: text(form, "title").trim(), text: text(form, "text").trim(),
          ...(picture && { image: await base64(picture) }), ...(form.get("bare") !== null && { remove_image: true }),
        },
      },
    });
    saved();
  };
  return (
    <section aria-labelledby="house" className="card flex flex-col gap-4 p-5">
      <h2 id="house" className="text-lg font-semibold">
        {t.console.house}
      </h2>
      <AskForm action={t.console.save} done={t.account.saved} save={save}>
        <Field label={t.console.houseTitle} name="title" defaultValue={house.title} maxLength={80} hint={t.console.houseHint} />
        <Field label={t.console.houseText} name="text" defaultValue={house.text} maxLength={400} />
        <Field label={t.console.housePicture} name="image" type="file" accept="image/png,image/jpeg" hint={t.console.pictureHint} />
        {house.image && (
          <>
            <img src={house.image} alt={t.console.housePicture} className="max-h-40 self-start rounded-md" />
            <Checkbox label={t.console.pictureNone} name="bare" />
          </>
        )}
      </AskForm>
    </section>
  );
}

/** base64 of a file, as the API takes it. */
async function base64(file: File): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let all = "";
  for (let i = 0; i < bytes.length; i += 8192) all += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(all);
}
