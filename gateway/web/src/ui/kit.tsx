// The few widgets that all pages are made of.

import { CircleAlert, LoaderCircle, Lock, LockOpen, X, type LucideIcon } from "lucide-react";
import { Dialog as RadixDialog } from "radix-ui";
import { useId, type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from "react";
import { t } from "../strings";
import { LanguageChoice } from "./language";

export const cx = (...names: (string | false | null | undefined)[]) => names.filter(Boolean).join(" ");

type Look = "primary" | "quiet" | "plain" | "danger";

const looks: Record<Look, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-strong",
  quiet: "bg-raised text-ink hover:bg-line",
  plain: "text-ink hover:bg-raised",
  danger: "bg-bad text-on-accent hover:bg-bad-strong",
};

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  icon?: LucideIcon;
  small?: boolean;
  /** bare hides the label, which stays for those who listen. */
  bare?: boolean;
}

export function Button({ look = "quiet", icon: Icon, small, bare, className, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      title={bare && typeof children === "string" ? children : undefined}
      className={cx(
        "inline-flex items-center justify-center gap-2 rounded-md font-medium transition-colors disabled:opacity-60",
        small ? "min-h-9 text-sm" : "min-h-11",
        bare ? (small ? "w-9" : "w-11") : small ? "px-3" : "px-4",
        looks[look],
        className,
      )}
      {...rest}
    >
      {Icon && <Icon aria-hidden className={small ? "size-4 shrink-0" : "size-5 shrink-0"} />}
      {bare ? <span className="sr-only">{children}</span> : children}
    </button>
  );
}

/** Labelled puts label, hint and fault around a control. */
function Labelled({ id, label, hint, fault, children }: { id: string; label: string; hint?: string; fault?: string; children: ReactNode }) {
  return (
    <div className="flex min-w-0 flex-col gap-1.5">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children}
      {(fault || hint) && (
        <p id={`${id}-hint`} className={cx("text-sm", fault ? "text-bad" : "text-soft")} role={fault ? "alert" : undefined}>
          {fault || hint}
        </p>
      )}
    </div>
  );
}

export interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  hint?: string;
  fault?: string;
}

export function Field({ label, hint, fault, className, ...rest }: FieldProps) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint} fault={fault}>
      <input id={id} className={cx("input", className)} aria-invalid={!!fault} aria-describedby={hint || fault ? `${id}-hint` : undefined} {...rest} />
    </Labelled>
  );
}

/** Lines is a field of several lines, such as a certificate. */
export function Lines({ label, hint, ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement> & { label: string; hint?: string }) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint}>
      <textarea id={id} rows={4} className="input font-mono text-sm" aria-describedby={hint ? `${id}-hint` : undefined} autoComplete="off" spellCheck={false} {...rest} />
    </Labelled>
  );
}

export interface SelectProps extends SelectHTMLAttributes<HTMLSelectElement> {
  label: string;
  hint?: string;
  options: [value: string, text: string][];
}

export function Select({ label, hint, options, className, ...rest }: SelectProps) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint}>
      <select id={id} className={cx("input", className)} aria-describedby={hint ? `${id}-hint` : undefined} {...rest}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

export function Checkbox({ label, ...rest }: InputHTMLAttributes<HTMLInputElement> & { label: string }) {
  return (
    <label className="flex min-h-11 items-center gap-3 text-sm font-medium">
      <input type="checkbox" className="size-5 accent-accent" {...rest} />
      {label}
    </label>
  );
}

export function Dialog(props: {
  open: boolean;
  onClose(): void;
  title: string;
  text?: string;
  wide?: boolean;
  children: ReactNode;
}) {
  return (
    <RadixDialog.Root open={props.open} onOpenChange={(open) => !open && props.onClose()}>
      <RadixDialog.Portal>
        <RadixDialog.Overlay className="fixed inset-0 z-40 bg-shade" />
        <RadixDialog.Content
          aria-describedby={undefined}
          className={cx(
            "card fixed top-1/2 left-1/2 z-50 max-h-[90dvh] w-[calc(100vw-2rem)] -translate-1/2 overflow-y-auto p-6",
            props.wide ? "max-w-3xl" : "max-w-md",
          )}
        >
          <div className="flex items-start justify-between gap-4">
            <RadixDialog.Title className="text-xl font-semibold">{props.title}</RadixDialog.Title>
            <RadixDialog.Close asChild>
              <Button look="plain" bare small icon={X} className="-mt-1 -mr-2">
                {t.meeting.close}
              </Button>
            </RadixDialog.Close>
          </div>
          {props.text && <p className="mt-1 text-soft">{props.text}</p>}
          <div className="mt-4">{props.children}</div>
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  );
}

/** Confirm asks before what cannot be undone. */
export function Confirm(props: { open: boolean; onClose(): void; title: string; text: string; action: string; onAction(): void }) {
  return (
    <Dialog open={props.open} onClose={props.onClose} title={props.title} text={props.text}>
      <div className="flex justify-end gap-2">
        <Button onClick={props.onClose}>{t.host.cancel}</Button>
        <Button
          look="danger"
          onClick={() => {
            props.onAction();
            props.onClose();
          }}
        >
          {props.action}
        </Button>
      </div>
    </Dialog>
  );
}

interface Badge {
  encrypted: boolean;
  parts: string[];
  /** caller is what a telephone's number is worth. */
  caller?: string;
  /** adaptive: in a narrow container the lock stands alone. */
  adaptive?: boolean;
  className?: string;
}

/** SecurityBadge says how a leg is protected; in clear is said in words too. */
export function SecurityBadge({ encrypted, parts, caller, adaptive, className }: Badge) {
  const Icon = encrypted ? Lock : LockOpen;
  return (
    <span
      className={cx(
        "inline-flex max-w-full shrink-0 items-center gap-1 rounded-full px-2 py-0.5 text-xs font-medium",
        adaptive && "@max-xs:px-1 @max-xs:py-1",
        encrypted ? "bg-good-tint text-good" : "bg-warn-tint text-warn",
        className,
      )}
    >
      <Icon aria-hidden className="size-3 shrink-0" />
      <span className={cx("relative truncate", adaptive && "@max-xs:sr-only")}>
        {encrypted ? parts.join(" · ") : `${parts.join(" · ")}, ${t.roster.clear}`}
        {encrypted && <span className="sr-only"> ({t.roster.encrypted})</span>}
        {caller && ` · ${caller}`}
      </span>
    </span>
  );
}

/** Fault is a line about what went wrong and what to do. */
export function Fault({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div role="alert" className="flex items-start gap-3 rounded-md bg-warn-tint p-3 text-sm text-warn">
      <CircleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1">{children}</div>
      {action}
    </div>
  );
}

export const Spinner = () => <LoaderCircle aria-hidden className="size-8 animate-spin text-accent" />;

/** Level is a bar of how loud it is, 0 to 1. */
export function Level({ value, label, className }: { value: number; label: string; className?: string }) {
  return (
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(value * 100)}
      className={cx("h-2 overflow-hidden rounded-full bg-line", className)}
    >
      <div className="h-full origin-left rounded-full bg-accent transition-transform duration-75" style={{ transform: `scaleX(${value})` }} />
    </div>
  );
}

/** Shell is the frame of the pages outside a meeting. */
export function Shell({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
  return (
    <div className="flex min-h-full flex-col">
      <header className="mx-auto flex w-full max-w-6xl items-center justify-between px-4 py-4 sm:px-6">
        <Brand />
        {aside}
      </header>
      <main className="mx-auto flex w-full max-w-6xl flex-1 flex-col px-4 pb-10 sm:px-6">{children}</main>
      <footer className="mx-auto flex w-full max-w-6xl justify-end px-4 pb-4 text-sm sm:px-6">
        <LanguageChoice />
      </footer>
    </div>
  );
}

/** Brand leads home; short: by its picture alone where there is little room. */
export function Brand({ short }: { short?: boolean }) {
  return (
    <a href="/" className="flex items-center gap-2.5 rounded-md text-lg font-semibold tracking-tight">
      <img src="/icon.svg" alt="" className="size-8" />
      <span className={cx(short && "max-sm:sr-only")}>{t.product}</span>
    </a>
  );
}
