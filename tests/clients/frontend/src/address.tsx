import { useEffect, useMemo, useRef, useSyncExternalStore, type ReactNode } from "react";

type Parameters = Record<string, string | null | undefined>;

/** What is on the screen is in the address, so that a reload, a bookmark and the back button find it again. */
export function useAddress(): URLSearchParams {
  const search = useSyncExternalStore(listen, () => location.search);
  return useMemo(() => new URLSearchParams(search), [search]);
}

export function go(parameters: Parameters): void {
  history.pushState(null, "", hrefOf(parameters));
  dispatchEvent(new PopStateEvent("popstate"));
}

/** A link of this page: without a request, but for whoever wants it in another tab. */
export function Link({
  to,
  children,
  ...rest
}: {
  to: Parameters;
  children: ReactNode;
  className?: string;
  "aria-current"?: "page" | undefined;
}) {
  return (
    <a
      {...rest}
      href={hrefOf(to)}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

/** The heading of a view. It takes the focus when the view is changed, so that it is read out, and Tab goes on from there. */
export function Heading({ children, title }: { children: ReactNode; title: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (moved) heading.current?.focus();
  }, []);
  return (
    <>
      <title>{`${title} · Home visits`}</title>
      <h1 ref={heading} tabIndex={-1}>
        {children}
      </h1>
    </>
  );
}

let moved = false;

function listen(onChange: () => void): () => void {
  const changed = () => {
    moved = true;
    onChange();
  };
  addEventListener("popstate", changed);
  return () => removeEventListener("popstate", changed);
}

function hrefOf(parameters: Parameters): string {
  const present = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] != null && entry[1] !== "");
  return `?${new URLSearchParams(present)}`;
}
