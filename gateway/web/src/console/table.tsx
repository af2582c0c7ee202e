import type { ReactNode } from "react";
import { t } from "../strings";
import { cx } from "../ui/kit";

export interface Column<T> {
  title: string;
  cell(row: T): ReactNode;
  /** strong is what a row is called by. */
  strong?: boolean;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  id(row: T): string;
  actions?(row: T): ReactNode;
  empty?: string;
}

/** Table is a list; on narrow screens each row is a card. */
export function Table<T>({ label, columns, rows, id, actions, empty }: Props<T>) {
  if (!rows.length) return <p className="card p-6 text-soft">{empty ?? t.console.nothing}</p>;
  return (
    <div className="card relative overflow-x-auto">
      <table className="w-full border-collapse text-sm max-md:block" aria-label={label}>
        <thead className="max-md:sr-only">
          <tr className="border-b border-line text-left text-soft">
            {columns.map((c) => (
              <th key={c.title} scope="col" className="px-4 py-3 font-medium">
                {c.title}
              </th>
            ))}
            {actions && (
              <th scope="col" className="px-4 py-3">
                <span className="sr-only">{t.console.actions}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody className="max-md:block">
          {rows.map((row) => (
            <tr key={id(row)} className="border-b border-line last:border-0 max-md:block max-md:p-3">
              {columns.map((c) => (
                <td key={c.title} className={cx("px-4 py-2.5 align-middle max-md:flex max-md:gap-3 max-md:px-1 max-md:py-1", c.strong && "font-semibold")}>
                  <span aria-hidden className={cx("w-32 shrink-0 font-normal text-soft md:hidden", c.strong && "sr-only")}>
                    {c.title}
                  </span>
                  <span className="min-w-0 break-words">{c.cell(row)}</span>
                </td>
              ))}
              {actions && <td className="px-4 py-2 text-right whitespace-nowrap max-md:block max-md:px-1 max-md:text-left">{actions(row)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
