import { SendHorizontal } from "lucide-react";
import { useEffect, useRef, useState, type FormEvent } from "react";
import { t } from "../strings";
import { useCall, useTheCall } from "../ui/call";
import { Button, cx } from "../ui/kit";
import { PanelFrame } from "./people";

const clock = new Intl.DateTimeFormat(t.locale, { hour: "2-digit", minute: "2-digit" });

export function Chat({ onClose }: { onClose(): void }) {
  const call = useTheCall();
  const lines = useCall((c) => c.state.chat);
  const id = useCall((c) => c.state.id);
  const [body, setBody] = useState("");
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [lines.length]);
  const submit = (e: FormEvent) => {
    e.preventDefault();
    if (!body.trim()) return;
    call.say(body.trim());
    setBody("");
  };
  return (
    <PanelFrame title={t.chat.title} onClose={onClose}>
      <div className="min-h-0 flex-1 overflow-y-auto p-4" tabIndex={0} role="log" aria-label={t.chat.log}>
        {lines.length === 0 && <p className="text-sm text-soft">{t.chat.empty}</p>}
        <ul className="flex flex-col gap-3">
          {lines.map((l) => (
            <li key={l.id} className={cx("max-w-[85%] rounded-lg px-3 py-2", l.from === id ? "self-end bg-tint" : "self-start bg-raised")}>
              <p className="text-xs text-soft">
                {l.from === id ? t.meeting.you : l.name} · <time dateTime={l.at}>{clock.format(new Date(l.at))}</time>
              </p>
              <p className="break-words whitespace-pre-wrap">{l.body}</p>
            </li>
          ))}
          <li ref={end} aria-hidden />
        </ul>
      </div>
      <form onSubmit={submit} className="flex gap-2 border-t border-line p-3">
        <input
          className="input" aria-label={t.chat.label} placeholder={t.chat.placeholder} value={body} maxLength={2000} autoComplete="off" autoFocus
          onChange={(e) => setBody(e.target.value)}
        />
        <Button type="submit" look="primary" bare icon={SendHorizontal} className="shrink-0">
          {t.chat.send}
        </Button>
      </form>
    </PanelFrame>
  );
}
