// The address by which a calendar program finds one's meetings.

import { CalendarPlus, CalendarX } from "lucide-react";
import { useState } from "react";
import { request, type Problem } from "../console/api";
import { t } from "../strings";
import { Button, Fault, Field } from "../ui/kit";
import { Section } from "./section";

const a = t.account;

export function Calendar() {
  const [url, setUrl] = useState("");
  const [said, setSaid] = useState("");
  const [fault, setFault] = useState("");
  const failed = (err: Problem) => setFault(err.message);
  const make = () =>
    void request("post", "/me/calendar").then((c) => {
      setUrl(c.url);
      setSaid("");
      setFault("");
    }, failed);
  const end = () =>
    void request("delete", "/me/calendar").then(() => {
      setUrl("");
      setSaid(a.calendarEnded);
      setFault("");
    }, failed);
  return (
    <Section title={a.calendar} lead={a.calendarLead}>
      {fault && <Fault>{fault}</Fault>}
      {url && <Field label={a.calendarAddress} hint={a.calendarHint} readOnly value={url} onFocus={(e) => e.target.select()} className="font-mono text-sm" />}
      <div className="flex flex-wrap items-center gap-3">
        <Button icon={CalendarPlus} onClick={make}>
          {a.calendarMake}
        </Button>
        <Button icon={CalendarX} onClick={end}>
          {a.calendarEnd}
        </Button>
        <p role="status" className="text-sm text-good">
          {said}
        </p>
      </div>
    </Section>
  );
}
