// Sources that attack, what they did, and until when they are dropped.

import { ShieldOff } from "lucide-react";
import { useState } from "react";
import type { Block } from "../api/schema";
import { t } from "../strings";
import { Button, Fault } from "../ui/kit";
import { request, useData, type Problem } from "./api";
import { Table, type Column } from "./table";

const f = t.protection;
const transports = { udp: "UDP", tcp: "TCP, TLS" };
const clock = new Intl.DateTimeFormat(t.locale, { dateStyle: "short", timeStyle: "medium" });

const columns: Column<Block>[] = [
  { title: f.network, strong: true, cell: (b) => b.network },
  { title: t.fields.transport, cell: (b) => transports[b.transport] },
  { title: f.why, cell: (b) => b.why },
  { title: f.dropped, cell: (b) => new Intl.NumberFormat(t.locale).format(b.dropped) },
  { title: f.until, cell: (b) => clock.format(new Date(b.until)) },
];

export function Protection({ tick }: { tick: number }) {
  const { data, fault, reload } = useData("/blocks", undefined, tick);
  const [trouble, setTrouble] = useState("");
  const lift = (id: string) =>
    void request("delete", "/blocks/{id}", { path: { id } })
      .then(() => setTrouble(""), (err: Problem) => setTrouble(err.message))
      .finally(reload);
  return (
    <section className="flex flex-col gap-4">
      <h1 className="text-2xl font-semibold">{t.console.protection}</h1>
      <p className="text-soft">{f.lead}</p>
      {(fault || trouble) && <Fault>{fault?.message ?? trouble}</Fault>}
      {data && (
        <Table
          label={t.console.protection} columns={columns} rows={data} id={(b) => b.id} empty={f.none}
          actions={(b) => (
            <Button small bare look="plain" icon={ShieldOff} onClick={() => lift(b.id)}>
              {f.lift(`${b.network} (${transports[b.transport]})`)}
            </Button>
          )}
        />
      )}
    </section>
  );
}
