// The check of a trunk: each line green or red, with what to do.

import { Stethoscope } from "lucide-react";
import { useState } from "react";
import type { CheckLine, TrunkView } from "../api/schema";
import { t } from "../strings";
import { Button, cx, Dialog, Spinner } from "../ui/kit";
import { request, type Problem } from "./api";

/** check tries a trunk; what keeps it from being tried is a red line, too. */
export const check = (id: string): Promise<CheckLine[]> =>
  request("post", "/trunks/{id}/check", { path: { id } }).catch((err: Problem) => [{ what: err.message, ok: false }]);

export function CheckTrunk({ trunk }: { trunk: TrunkView }) {
  const [lines, setLines] = useState<CheckLine[]>();
  const [open, setOpen] = useState(false);
  const run = async () => {
    setLines(undefined);
    setOpen(true);
    setLines(await check(trunk.id));
  };
  return (
    <>
      <Button small look="plain" icon={Stethoscope} onClick={() => void run()}>
        {t.console.check}
      </Button>
      <Dialog open={open} onClose={() => setOpen(false)} title={t.console.checkOf(trunk.name)}>
        {lines ? <CheckLines lines={lines} /> : <Spinner />}
      </Dialog>
    </>
  );
}

export function CheckLines({ lines }: { lines: CheckLine[] }) {
  return (
    <ul className="flex flex-col gap-3">
      {lines.map((l) => (
        <li key={l.what} className="flex gap-3">
          <span aria-hidden className={cx("font-bold", l.ok ? "text-good" : "text-bad")}>
            {l.ok ? "✓" : "✗"}
          </span>
          <div className="min-w-0">
            <p className="font-medium">
              {l.what}
              <span className="sr-only">: {l.ok ? t.console.passed : t.console.failed}</span>
            </p>
            {[l.detail, l.remedy].filter(Boolean).map((s) => (
              <p key={s} className="text-sm break-words text-soft">
                {s}
              </p>
            ))}
          </div>
        </li>
      ))}
    </ul>
  );
}
