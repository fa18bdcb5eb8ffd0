import { useEffect, useId, useRef, useState, type FormEvent, type ReactNode } from "react";
import type { CombinedError } from "urql";
import { Failure } from "./changes";
import type { Refused } from "./refusals";

interface Control {
  id: string;
  name: string;
  "aria-invalid": boolean;
  "aria-describedby": string | undefined;
}

/** A labelled control, with what is wrong with its value beside it. */
export function Field(props: {
  label: string;
  name: string;
  hint?: string | undefined;
  problem?: string | undefined;
  children: (control: Control) => ReactNode;
}) {
  const { label, name, hint, problem, children } = props;
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {hint && <small id={`${id}-hint`}>{hint}</small>}
      {children({ id, name, "aria-invalid": problem !== undefined, "aria-describedby": described(id, hint, problem) })}
      {problem && (
        <p id={`${id}-problem`} className="problem">
          {problem}
        </p>
      )}
    </div>
  );
}

function described(id: string, hint: string | undefined, problem: string | undefined): string | undefined {
  return [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(" ") || undefined;
}

/** A form that reads a refusal out, and puts the focus on the first value that was refused. */
export function Form(props: {
  label: string;
  submit: string;
  busy: boolean;
  refused: Refused | null;
  error: CombinedError | undefined;
  onSubmit: (values: Values) => void;
  onChange?: (values: Values) => void;
  children: ReactNode;
}) {
  const { label, submit, busy, refused, error, onSubmit, onChange, children } = props;
  const form = useRef<HTMLFormElement>(null);
  const [attempts, setAttempts] = useState(0);
  useEffect(() => {
    if (refused) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [refused]);
  return (
    <form
      ref={form}
      aria-label={label}
      aria-busy={busy}
      onSubmit={(event) => {
        event.preventDefault();
        if (busy) return;
        setAttempts(attempts + 1);
        onSubmit(valuesOf(event));
      }}
      onChange={(event) => onChange?.(valuesOf(event))}
    >
      {children}
      {/* The same words are read out again only where they are new on the page. */}
      <div key={attempts} role="alert" className="failure">
        {!busy && refused?.message}
      </div>
      {error && <Failure error={error} />}
      <button type="submit">{busy ? "One moment…" : submit}</button>
    </form>
  );
}

/** What is in a form, by the names of its fields. */
export type Values = Record<string, string>;

function valuesOf(event: FormEvent<HTMLFormElement>): Values {
  return Object.fromEntries(
    [...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value).replaceAll("\r\n", "\n")]),
  );
}

export function Options({ values, say }: { values: readonly string[]; say: (value: string) => string }) {
  return values.map((value) => (
    <option key={value} value={value}>
      {say(value)}
    </option>
  ));
}
