// A list with a form to add to it: meetings, trunks, numbers, devices, users.

import { Pencil, Plus, Trash2, Undo2 } from "lucide-react";
import { useState, type FormEvent, type ReactNode } from "react";
import { t } from "../strings";
import { Button, Checkbox, Confirm, cx, Dialog, Fault, Field, Lines, Select } from "../ui/kit";
import { send, useAnswer, type Answer, type Path, type Problem } from "./api";
import { Table, type Column } from "./table";

/** Input is one question of the form. */
export interface Input {
  name: string;
  label: string;
  hint?: string;
  type?: "text" | "password" | "number" | "checkbox" | "select" | "list" | "lines";
  options?: [string, string][];
  required?: boolean;
  value?: string | boolean;
  pattern?: string;
}

/** ListOf is the path of a list of T. */
type ListOf<T> = { [P in Path<"get"> & Path<"post">]: Answer<"get", P> extends T[] ? P : never }[Path<"get"> & Path<"post">];

export interface Resource<T> {
  title: string;
  path: ListOf<T>;
  columns: Column<T>[];
  inputs: Input[];
  /** edits are the inputs that may be changed later; none: nothing may. */
  edits?: Input[];
  id(row: T): string;
  name(row: T): string;
  actions?(row: T, reload: () => void): ReactNode;
  /** flat is a row as the form asks for it, and nest what the form says as the API takes it, where these differ. */
  flat?(row: T): Record<string, unknown>;
  nest?(body: Record<string, unknown>): Record<string, unknown>;
}

/** Collection is a page, or below: a part of one. */
export function Collection<T>({ resource: r, tick, below }: { resource: Resource<T>; tick: number; below?: boolean }) {
  const Heading = below ? "h2" : "h1";
  const { data, fault, reload } = useAnswer<T[]>(r.path, tick);
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<T>();
  const [editing, setEditing] = useState<T>();
  const [undo, setUndo] = useState<{ name: string; back(): Promise<unknown> }>();
  const [trouble, setTrouble] = useState("");
  const flat = (row: T) => r.flat?.(row) ?? (row as Record<string, unknown>);
  const nest = (body: Record<string, unknown>) => r.nest?.(body) ?? body;
  const path = (row: T) => `${r.path}/${encodeURIComponent(r.id(row))}`;
  const remove = async (row: T) => {
    try {
      await send("delete", path(row));
      setTrouble("");
    } catch (err) {
      setTrouble((err as Problem).message);
    }
    reload();
  };
  const edit = async (row: T, edits: Input[], body: Record<string, unknown>) => {
    const before = nest(changed(flat(row), edits, body));
    await send("patch", path(row), nest(body));
    setEditing(undefined);
    setTrouble("");
    setUndo({ name: r.name(row), back: () => send("patch", path(row), before) });
    reload();
  };
  const goBack = () =>
    void undo
      ?.back()
      .catch((err: Problem) => setTrouble(err.message))
      .finally(() => {
        setUndo(undefined);
        reload();
      });
  return (
    <section>
      <div className="mb-4 flex items-center justify-between gap-4">
        <Heading className={cx("font-semibold", below ? "text-xl" : "text-2xl")}>{r.title}</Heading>
        <Button look="primary" icon={Plus} onClick={() => setAdding(true)}>
          {t.console.add}
        </Button>
      </div>
      {(fault || trouble) && (
        <div className="mb-4">
          <Fault>{fault?.message ?? trouble}</Fault>
        </div>
      )}
      <div role="status">
        {undo && (
          <p className="mb-4 flex flex-wrap items-center gap-3 rounded-md bg-good-tint p-3 text-sm text-good">
            {t.console.saved(undo.name)}
            <Button small icon={Undo2} onClick={goBack}>
              {t.console.undo}
            </Button>
          </p>
        )}
      </div>
      {data && (
        <Table
          label={r.title}
          columns={r.columns}
          rows={data}
          id={r.id}
          actions={(row) => (
            <span className="inline-flex gap-1">
              {r.actions?.(row, reload)}
              {r.edits && (
                <Button small bare look="plain" icon={Pencil} onClick={() => setEditing(row)}>
                  {t.console.edit(r.name(row))}
                </Button>
              )}
              <Button small bare look="plain" icon={Trash2} onClick={() => setRemoving(row)}>
                {t.console.removeOne(r.name(row))}
              </Button>
            </span>
          )}
        />
      )}
      <Dialog open={adding} onClose={() => setAdding(false)} title={`${t.console.add}: ${r.title}`}>
        <Form
          inputs={r.inputs}
          save={async (body) => {
            await send("post", r.path, nest(body));
            setAdding(false);
            reload();
          }}
        />
      </Dialog>
      {editing && r.edits && (
        <Dialog open onClose={() => setEditing(undefined)} title={t.console.edit(r.name(editing))}>
          <Form inputs={filled(r.edits, flat(editing))} whole save={(body) => edit(editing, r.edits!, body)} />
        </Dialog>
      )}
      <Confirm
        open={removing !== undefined} onClose={() => setRemoving(undefined)} title={removing ? t.console.removeTitle(r.name(removing)) : ""}
        text={t.console.removeText} action={t.console.remove} onAction={() => removing && void remove(removing)}
      />
    </section>
  );
}

/** filled are inputs that hold what a row has; secrets stay empty. */
export function filled(inputs: Input[], row: Record<string, unknown>): Input[] {
  return inputs.map((i) => {
    const v = row[i.name];
    if (i.type === "password") return { ...i, required: false, hint: t.hints.keepPassword };
    return { ...i, value: typeof v === "boolean" ? v : Array.isArray(v) ? v.join(", ") : v === undefined ? "" : String(v) };
  });
}

/** changed is what a row has of that which a body changes: sent back, it undoes it. Passwords cannot be had back. */
function changed(row: Record<string, unknown>, inputs: Input[], body: Record<string, unknown>): Record<string, unknown> {
  const open = inputs.filter((i) => i.type !== "password" && i.name in body);
  return Object.fromEntries(open.map((i) => [i.name, row[i.name] ?? (i.type === "list" ? [] : i.type === "checkbox" ? false : i.type === "number" ? 0 : "")]));
}

/** bodyOf leaves out what was left empty, so that the server's defaults hold; whole: only passwords. */
export function bodyOf(inputs: Input[], form: FormData, whole = false): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const i of inputs) {
    const v = form.get(i.name);
    const text = typeof v === "string" ? v.trim() : "";
    if (i.type === "checkbox") body[i.name] = v !== null;
    else if (!text && (!whole || i.type === "password" || i.type === "number")) continue;
    else if (i.type === "number") body[i.name] = Number(text);
    else if (i.type === "list") body[i.name] = text.split(/[\s,]+/).filter(Boolean);
    else body[i.name] = text;
  }
  return body;
}

interface FormProps {
  inputs: Input[];
  /** more are asked for only when they are wanted. */
  more?: Input[];
  whole?: boolean;
  action?: string;
  save(body: Record<string, unknown>): Promise<void>;
}

export function Form({ inputs, more = [], whole, action = t.console.save, save }: FormProps) {
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    setBusy(true);
    try {
      await save(bodyOf([...inputs, ...more], new FormData(e.currentTarget), whole));
    } catch (err) {
      setFault((err as Problem).message);
    }
    setBusy(false);
  };
  return (
    <form onSubmit={(e) => void submit(e)} className="flex flex-col gap-4">
      {fault && <Fault>{fault}</Fault>}
      {inputs.map((i) => (
        <Control key={i.name} input={i} />
      ))}
      {more.length > 0 && (
        <details>
          <summary className="min-h-6 rounded-md text-sm font-medium text-accent hover:underline">{t.console.moreSettings}</summary>
          <div className="mt-4 flex flex-col gap-4">
            {more.map((i) => (
              <Control key={i.name} input={i} />
            ))}
          </div>
        </details>
      )}
      <Button type="submit" look="primary" disabled={busy}>
        {action}
      </Button>
    </form>
  );
}

function Control({ input: i }: { input: Input }) {
  const value = i.value as string;
  if (i.type === "checkbox") return <Checkbox name={i.name} label={i.label} defaultChecked={!!i.value} />;
  if (i.type === "select") return <Select name={i.name} label={i.label} hint={i.hint} options={i.options ?? []} defaultValue={value} />;
  if (i.type === "lines") return <Lines name={i.name} label={i.label} hint={i.hint} required={i.required} defaultValue={value} />;
  return (
    <Field
      name={i.name} label={i.label} hint={i.hint} required={i.required} defaultValue={value} pattern={i.pattern}
      type={i.type === "password" ? "password" : "text"} inputMode={i.type === "number" ? "numeric" : undefined}
      autoComplete={i.type === "password" ? "new-password" : "off"}
    />
  );
}
