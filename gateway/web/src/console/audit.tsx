// Who changed what, and when.

import { useState } from "react";
import type { Act } from "../api/schema";
import { t } from "../strings";
import { Button, Fault, Spinner } from "../ui/kit";
import { request, useData, type Problem } from "./api";
import { Table, type Column } from "./table";

const page = 100;
const when = new Intl.DateTimeFormat(t.locale, { dateStyle: "short", timeStyle: "medium" });

const columns: Column<Act>[] = [
  { title: t.fields.started, cell: (a) => when.format(new Date(a.at)) },
  { title: t.fields.who, strong: true, cell: (a) => a.name || "–" },
  { title: t.fields.act, cell: (a) => a.act },
  { title: t.fields.object, cell: (a) => a.object || "–" },
  { title: t.fields.detail, cell: (a) => a.detail || "–" },
  { title: t.fields.source, cell: (a) => a.source || "–" },
];

export function Audit({ tick }: { tick: number }) {
  const { data, fault } = useData("/audit", { query: { limit: page } }, tick);
  const [older, setOlder] = useState<Act[]>([]);
  const [done, setDone] = useState(false);
  const [trouble, setTrouble] = useState("");
  const all = [...(data ?? []), ...older];
  const more = () =>
    void request("get", "/audit", { query: { limit: page, before: all.at(-1)?.id ?? 0 } }).then(
      (list) => {
        setOlder([...older, ...list]);
        setDone(list.length < page);
      },
      (err: Problem) => setTrouble(err.message),
    );
  return (
    <section className="flex flex-col gap-4">
      <h1 className="text-2xl font-semibold">{t.console.audit}</h1>
      {(fault || trouble) && <Fault>{fault?.message ?? trouble}</Fault>}
      {data ? <Table label={t.console.audit} columns={columns} rows={all} id={(a) => `${a.id}`} /> : !fault && <Spinner />}
      {!done && (data?.length ?? 0) >= page && (
        <Button className="self-start" onClick={more}>
          {t.console.older}
        </Button>
      )}
    </section>
  );
}
