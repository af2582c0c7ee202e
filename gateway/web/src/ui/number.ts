import { useState, type ChangeEvent, type FormEvent } from "react";
import { t } from "../strings";
import { go } from "./route";

/** useNumber is a question for a meeting's number that leads there: what its form and its field need. */
export function useNumber() {
  const [value, setValue] = useState("");
  const [fault, setFault] = useState("");
  const onSubmit = (e: FormEvent) => {
    e.preventDefault();
    const digits = value.replace(/[\s-]/g, "");
    if (!/^\d{1,32}$/.test(digits)) return setFault(t.home.invalid);
    go(`/join/${digits}`);
  };
  const onChange = (e: ChangeEvent<HTMLInputElement>) => {
    setValue(e.target.value);
    setFault("");
  };
  return { onSubmit, field: { label: t.home.number, fault, value, onChange, inputMode: "numeric", autoComplete: "off", maxLength: 40 } as const };
}
