import { useState } from "react";
import { useMutation } from "urql";
import { Heading } from "./address";
import { Appointment, appointmentOf, assigneeOf, noSuchTime } from "./Appointment";
import { Conflicts } from "./Conflicts";
import { EnquiryPicker, type Enquiry } from "./EnquiryPicker";
import { Field, Form, Options, type Values } from "./forms";
import { graphql } from "./generated";
import type { VisitType } from "./generated/graphql";
import { refusedBy, type Refused } from "./refusals";
import { fullName, VISIT_TYPES, words } from "./words";
import { HERE } from "./zones";

const BOOK = graphql(`
  mutation BookVisit($input: BookHomeVisitInput!) {
    bookHomeVisit(input: $input) {
      __typename
      ... on BookHomeVisitSuccess {
        homeVisit {
          ...VisitCard
        }
      }
      ... on UserError {
        message
      }
      ... on InvalidInputError {
        problems {
          path
          message
        }
      }
    }
  }
`);

const INITIAL: Values = { host: "MANAGER", date: "", time: "", assignedTo: "", notes: "" };

export function BookVisit({ onBooked }: { onBooked: (id: string) => void }) {
  const [enquiry, setEnquiry] = useState<Enquiry | null>(null);
  const [values, setValues] = useState(INITIAL);
  const [refused, setRefused] = useState<Refused | null>(null);
  // Made with the form, so that sending the form again books nothing again.
  const [idempotencyKey, setIdempotencyKey] = useState(newKey);
  const [{ fetching, error }, book] = useMutation(BOOK);
  const location = enquiry?.location;
  const timeZone = location?.timeZone ?? HERE;

  async function submit(values: Values) {
    const { dateTime, ...appointment } = appointmentOf(values, timeZone);
    if (!dateTime) return setRefused(noSuchTime());
    const input = {
      ...appointment,
      dateTime,
      careEnquiry: values["careEnquiry"] ?? "",
      visitType: values["visitType"] as VisitType,
      serviceUserContact: values["serviceUserContact"] || null,
      suppressConfirmation: values["confirm"] !== "on",
      idempotencyKey,
    };
    const result = (await book({ input })).data?.bookHomeVisit;
    if (result?.__typename === "BookHomeVisitSuccess") return onBooked(result.homeVisit.id);
    // What was sent before is booked, though no answer came. Whoever books again means another visit.
    if (result?.__typename === "IdempotencyConflictError") setIdempotencyKey(newKey());
    setRefused(result ? refusedBy(result) : null);
  }

  /** Keeps what is typed when another enquiry is chosen, but for a colleague, who may not be of its location. */
  function change(changed: Values) {
    setValues({ ...values, ...changed, ...(changed["careEnquiry"] !== enquiry?.id && { assignedTo: "" }) });
  }

  const { dateTime, host } = appointmentOf(values, timeZone);
  const assignedTo = assigneeOf(values, enquiry);
  return (
    <>
      <Heading title="Book a visit">Book a visit</Heading>
      <Form
        label="Book a visit"
        submit="Book"
        busy={fetching}
        refused={refused}
        error={error}
        onSubmit={submit}
        onChange={change}
      >
        <EnquiryPicker chosen={enquiry} problem={refused?.fields["careEnquiry"]} onChoose={setEnquiry} />
        {enquiry && location && (
          <fieldset key={enquiry.id}>
            <legend>At {location.name}</legend>
            <Appointment location={location} initial={values} assigned={null} refused={refused} />
            <Conflicts variables={dateTime ? { location: location.id, dateTime, host, assignedTo } : null} />
            <div className="pair">
              <Field label="How" name="visitType" problem={refused?.fields["visitType"]}>
                {(control) => (
                  <select {...control} defaultValue={values["visitType"]}>
                    <Options values={VISIT_TYPES} say={words} />
                  </select>
                )}
              </Field>
              <Field label="Who attends" name="serviceUserContact" problem={refused?.fields["serviceUserContact"]}>
                {(control) => (
                  <select {...control}>
                    <option value="">{fullName(enquiry.careSeeker)}</option>
                    {enquiry.serviceUserContacts.nodes.map((contact) => (
                      <option key={contact.id} value={contact.id}>
                        {fullName(contact)}
                      </option>
                    ))}
                  </select>
                )}
              </Field>
            </div>
            <label className="choice">
              <input type="checkbox" name="confirm" defaultChecked />
              <span>Send a confirmation to {enquiry.careSeeker?.email ?? "nobody: there is no email address"}</span>
            </label>
          </fieldset>
        )}
        {enquiry && !location && <p className="failure">This care enquiry names no location to visit.</p>}
      </Form>
    </>
  );
}

/** `crypto.randomUUID` is missing on plain HTTP from another machine. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
