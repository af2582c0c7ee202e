// Meetings that run now, and who is in them.

import { Check, MicOff, UserX, X } from "lucide-react";
import type { MeetingView, ParticipantView } from "../api/schema";
import { t } from "../strings";
import { encrypted, protection } from "../call/view";
import { fixed, percent } from "../ui/format";
import { Button, Fault, SecurityBadge } from "../ui/kit";
import { request, useData } from "./api";
import { Table, type Column } from "./table";

export function Live({ tick }: { tick: number }) {
  const { data, fault, reload } = useData("/meetings", {}, tick);
  const running = data?.filter((m) => m.participants > 0) ?? [];
  return (
    <section className="flex flex-col gap-6">
      <h1 className="text-2xl font-semibold">{t.console.live}</h1>
      {fault && <Fault>{fault.message}</Fault>}
      {data && running.length === 0 && <p className="card p-6 text-soft">{t.console.noLive}</p>}
      {running.map((m) => (
        <RunningMeeting key={m.number} meeting={m} tick={tick} changed={reload} />
      ))}
    </section>
  );
}

const columns: Column<ParticipantView>[] = [
  { title: t.fields.name, strong: true, cell: (p) => p.name || p.address || "–" },
  { title: t.fields.state, cell: (p) => [t.roster.states[p.state], p.role === "host" && t.fields.host, p.audio_muted && t.meeting.muted].filter(Boolean).join(", ") },
  {
    title: t.fields.security,
    cell: (p) => <SecurityBadge {...protection({ ...p, phone: p.protocol === "pstn" && !encrypted(p.security) })} />,
  },
  { title: t.fields.codec, cell: (p) => p.audio.codec || "–" },
  { title: t.fields.loss, cell: (p) => percent((100 * p.audio.packets_lost) / Math.max(1, p.audio.packets_received + p.audio.packets_lost)) },
  { title: t.fields.mos, cell: (p) => (p.audio.mos ? fixed(p.audio.mos, 1) : "–") },
];

function RunningMeeting({ meeting, tick, changed }: { meeting: MeetingView; tick: number; changed(): void }) {
  const { number } = meeting;
  const { data, reload } = useData("/meetings/{number}/participants", { path: { number } }, tick);
  const act = (done: Promise<unknown>) =>
    void done
      .catch(() => {})
      .finally(() => {
        reload();
        changed();
      });
  return (
    <article aria-label={meeting.name || meeting.number} className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <h2 className="mr-auto text-lg font-semibold">
          {meeting.name || meeting.number} <span className="text-sm font-normal text-soft">
            {[meeting.number, t.console.inCall(meeting.participants), meeting.waiting > 0 && t.console.waiting(meeting.waiting), meeting.locked && t.meeting.locked].filter(Boolean).join(" · ")}
          </span>
        </h2>
        <Button small onClick={() => act(request("post", "/meetings/{number}/mute-all", { path: { number } }))}>{t.host.muteAll}</Button>
        <Button small onClick={() => act(request("post", meeting.locked ? "/meetings/{number}/unlock" : "/meetings/{number}/lock", { path: { number } }))}>{meeting.locked ? t.host.unlock : t.host.lock}</Button>
        <Button small look="danger" onClick={() => act(request("post", "/meetings/{number}/end", { path: { number } }))}>{t.controls.end}</Button>
      </div>
      <Table
        label={t.console.participants}
        columns={columns}
        rows={data ?? []}
        id={(p) => p.id}
        actions={(p) => {
          const to = (verb: "accept" | "reject" | "mute" | "remove") => () =>
            act(request("post", `/meetings/{number}/participants/{id}/${verb}`, { path: { number, id: p.id } }));
          return p.state === "waiting" ? (
            <span className="inline-flex gap-1">
              <Button small bare look="primary" icon={Check} onClick={to("accept")}>{t.roster.acceptOne(p.name)}</Button>
              <Button small bare icon={X} onClick={to("reject")}>{t.roster.rejectOne(p.name)}</Button>
            </span>
          ) : (
            <span className="inline-flex gap-1">
              <Button small bare look="plain" icon={MicOff} onClick={to("mute")} disabled={p.audio_muted}>{`${t.roster.mute}: ${p.name}`}</Button>
              <Button small bare look="plain" icon={UserX} onClick={to("remove")}>{`${t.roster.remove}: ${p.name}`}</Button>
            </span>
          );
        }}
      />
    </article>
  );
}
