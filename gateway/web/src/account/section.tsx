import type { ReactNode } from "react";
import { t } from "../strings";

export const day = new Intl.DateTimeFormat(t.locale, { dateStyle: "medium" });

/** Section is one part of the account's page. */
export function Section({ title, lead, children }: { title: string; lead?: string; children: ReactNode }) {
  return (
    <section className="card flex flex-col gap-4 p-6">
      <div>
        <h2 className="text-xl font-semibold">{title}</h2>
        {lead && <p className="mt-1 text-soft">{lead}</p>}
      </div>
      {children}
    </section>
  );
}

/** Line is an entry of a list: what it is, a line about it, and what can be done. */
export function Line({ title, text, children }: { title: string; text: string; children?: ReactNode }) {
  return (
    <li className="flex items-center justify-between gap-4 py-2">
      <div className="min-w-0">
        <p className="font-medium break-words">{title}</p>
        <p className="text-sm text-soft">{text}</p>
      </div>
      <span className="inline-flex shrink-0 gap-1">{children}</span>
    </li>
  );
}
