import { useState, type FormEvent, type ReactNode } from "react";
import type { Problem } from "../console/api";
import { Button, Fault } from "../ui/kit";

interface Props {
  action: string;
  children?: ReactNode;
  /** done is said once it is saved. */
  done?: string;
  save(form: FormData): Promise<void>;
}

/** AskForm sends what its fields hold, and shows what is wrong with it. */
export function AskForm({ action, children, done, save }: Props) {
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const [saved, setSaved] = useState(false);
  const submit = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const form = e.currentTarget;
    setBusy(true);
    setSaved(false);
    try {
      await save(new FormData(form));
      setFault("");
      setSaved(true);
      for (const field of form.querySelectorAll<HTMLInputElement>("input[type=password]")) field.value = "";
    } catch (err) {
      setFault((err as Problem).message);
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(e) => void submit(e)} className="flex flex-col gap-4">
      {fault && <Fault>{fault}</Fault>}
      {children}
      <div className="flex flex-wrap items-center gap-4">
        <Button type="submit" look="primary" disabled={busy}>
          {action}
        </Button>
        {saved && done && (
          <p role="status" className="text-sm text-good">
            {done}
          </p>
        )}
      </div>
    </form>
  );
}

/** text is a field's value. */
export const text = (form: FormData, name: string) => String(form.get(name) ?? "");
