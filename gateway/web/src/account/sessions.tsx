import { LogOut } from "lucide-react";
import type { SessionView } from "../api/schema";
import { request, useData } from "../console/api";
import { t } from "../strings";
import { Button, Fault } from "../ui/kit";
import { go } from "../ui/route";
import { day, Line, Section } from "./section";

const a = t.account;

export function Sessions() {
  const { data, fault, reload } = useData("/me/sessions");
  const end = (s: SessionView) => void request("delete", "/me/sessions/{id}", { path: { id: s.id } }).then(() => (s.current ? go("/") : reload()), reload);
  return (
    <Section title={a.sessions} lead={a.sessionsLead}>
      {fault && <Fault>{fault.message}</Fault>}
      {!!data?.length && (
        <ul className="flex flex-col divide-y divide-line">
          {data.map((s) => (
            <Line
              key={s.id} title={`${s.agent || a.unknownAgent}${s.current ? ` (${a.thisOne})` : ""}`}
              text={`${a.signedIn(day.format(new Date(s.created)))}${s.used ? ` · ${a.used(day.format(new Date(s.used)))}` : ""}`}
            >
              <Button small look="plain" icon={LogOut} onClick={() => end(s)}>{t.console.signOut}</Button>
            </Line>
          ))}
        </ul>
      )}
      {data?.some((s) => !s.current) && (
        <Button className="self-start" onClick={() => void request("post", "/me/sessions/revoke-others").then(reload, reload)}>{a.endOthers}</Button>
      )}
    </Section>
  );
}
