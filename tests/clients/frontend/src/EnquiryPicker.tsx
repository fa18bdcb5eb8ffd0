import { useState } from "react";
import { useQuery } from "urql";
import { Failure, useThrottled } from "./changes";
import { Field } from "./forms";
import { graphql } from "./generated";
import type { FindEnquiriesQuery } from "./generated/graphql";
import { fullName } from "./words";

const ENQUIRIES = graphql(`
  query FindEnquiries($search: String!) {
    careEnquiries(filter: { search: $search, anonymized: false }, orderBy: [{ field: NAME }], first: 20) {
      nodes {
        id
        careSeeker {
          firstName
          lastName
          email
          phone
        }
        assignedTo {
          id
          firstName
          lastName
        }
        location {
          id
          name
          timeZone
        }
        serviceUserContacts(first: 20) {
          nodes {
            id
            firstName
            lastName
          }
        }
      }
      pageInfo {
        hasNextPage
      }
    }
  }
`);

export type Enquiry = FindEnquiriesQuery["careEnquiries"]["nodes"][number];

/** Finds the care enquiry that a visit is for: a search, and what it found as radio buttons, which arrow keys choose among. */
export function EnquiryPicker(props: {
  chosen: Enquiry | null;
  problem: string | undefined;
  onChoose: (enquiry: Enquiry) => void;
}) {
  const { chosen, problem, onChoose } = props;
  const [typed, setTyped] = useState("");
  const search = useThrottled(typed.trim());
  const [{ data, fetching, error }] = useQuery({ query: ENQUIRIES, variables: { search }, pause: search.length < 2 });
  const found = search.length < 2 ? [] : (data?.careEnquiries.nodes ?? []);
  const more = data?.careEnquiries.pageInfo.hasNextPage ? ", and more: type more of the name" : "";
  const offered = chosen && !found.some(({ id }) => id === chosen.id) ? [chosen, ...found] : found;
  return (
    <fieldset>
      <legend>Who is it for?</legend>
      <Field
        label="Search care enquiries"
        name="search"
        hint="A part of the name, email address or telephone number"
        problem={problem}
      >
        {(control) => (
          <input {...control} type="search" autoComplete="off" value={typed} onChange={(event) => setTyped(event.target.value)} />
        )}
      </Field>
      {error && <Failure error={error} />}
      <p role="status">
        {search.length < 2 || error
          ? ""
          : fetching
            ? "Searching…"
            : found.length === 0
              ? "Nobody found"
              : `${found.length} found${more}`}
      </p>
      {offered.map((enquiry) => (
        <label key={enquiry.id} className="choice">
          <input
            type="radio"
            name="careEnquiry"
            value={enquiry.id}
            required
            checked={enquiry.id === chosen?.id}
            onChange={() => onChoose(enquiry)}
          />
          <span>
            {fullName(enquiry.careSeeker)}
            <small>
              {[enquiry.location?.name, enquiry.careSeeker?.phone, enquiry.careSeeker?.email].filter(Boolean).join(" · ")}
            </small>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
