// What a network must let through, and the zone that names the bridge.

import { Check, Copy, Lock, LockOpen } from "lucide-react";
import { useState } from "react";
import type { Plan as NetworkPlan } from "../api/schema";
import { useData } from "../console/api";
import { Table } from "../console/table";
import { t } from "../strings";
import { Button, Fault, Shell, Spinner } from "../ui/kit";

export function Network() {
  const { data, fault, reload } = useData("/network");
  return (
    <Shell>
      {fault && <Fault action={<Button small onClick={reload}>{t.console.retry}</Button>}>{fault.message}</Fault>}
      {!data && !fault && (
        <div className="m-auto" role="status" aria-label={t.console.loading}>
          <Spinner />
        </div>
      )}
      {data && <Plan plan={data} />}
    </Shell>
  );
}

function Plan({ plan }: { plan: NetworkPlan }) {
  const [copied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard.writeText(plan.zone).then(() => setCopied(true));
  return (
    <div className="flex flex-col gap-6">
      <div>
        <h1 className="text-2xl font-semibold">{t.network.title}</h1>
        <p className="mt-1 max-w-prose text-soft">{t.network.lead(plan.host)}</p>
      </div>
      <Table
        label={t.network.ports}
        columns={[
          { title: t.network.port, strong: true, cell: (s) => `${s.port}${s.last ? `–${s.last}` : ""}` },
          { title: t.network.protocol, cell: (s) => s.protocol.toUpperCase() },
          { title: t.network.purpose, cell: (s) => s.for },
          {
            title: t.fields.security,
            cell: (s) => {
              const Icon = s.encrypted ? Lock : LockOpen;
              return (
                <span className="inline-flex items-center gap-1.5">
                  <Icon aria-hidden className="size-4 text-soft" />
                  {s.encrypted ? t.roster.encrypted : t.roster.clear}
                </span>
              );
            },
          },
        ]}
        rows={plan.services}
        id={(s) => `${s.protocol}${s.port}`}
      />
      <section aria-labelledby="zone" className="flex flex-col gap-3">
        <div className="flex flex-wrap items-center justify-between gap-3">
          <h2 id="zone" className="text-lg font-semibold">
            {t.network.zone}
          </h2>
          {plan.zone && (
            <Button small icon={copied ? Check : Copy} onClick={copy}>
              {copied ? t.meeting.copied : t.network.copy}
            </Button>
          )}
        </div>
        <p className="max-w-prose text-soft">{plan.zone ? t.network.zoneText(plan.ttl) : t.network.noName}</p>
        {plan.zone && (
          <pre tabIndex={0} aria-labelledby="zone" role="region" className="card overflow-x-auto p-4 text-sm">
            {plan.zone}
          </pre>
        )}
      </section>
    </div>
  );
}
