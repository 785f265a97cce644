/** Line icons, 16 by 16, drawn with the colour of the text. */
const PATHS = {
  overview: "M2.5 8.5 8 3l5.5 5.500M4 7.500V13h8V7.5",
  agents: "M8 2.500v2M4 4.500h8a1.5 1.5 0 0 1 1.5 1.500v5A1.5 1.5 0 0 1 12 12.500H4A1.5 1.5 0 0 1 2.5 11V6A1.5 1.5 0 0 1 4 4.500zM6 8v1M10 8v1",
  loops: "M13 8a5 5 0 1 1-1.5-3.550M13 2.500v2.500h-2.5",
  flags: "M3.5 14V2.500M3.5 3h8l-2 3 2 3h-8",
  product: "M2.5 13.500h11M4.5 13.500V9M8 13.500v-11M11.5 13.500V6",
  system: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.010M5 11h.01",
  settings: "M2.5 5h6M11.5 5h2M2.5 11h2M7.5 11h6M10 3.500v3M6 9.500v3",
  theme: "M8 2.500a5.5 5.5 0 1 0 0 11zM8 2.500a5.5 5.5 0 0 1 0 11",
  search: "M7 2.500a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5 13.5 13.5",
  zoomOut: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.500 0 0 0 0-9zM10.5 10.5 13.5 13.500M5 7h4",
  close: "M4 4l8 8M12 4l-8 8",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  up: "M4 10l4-4 4 4",
  left: "M10 4 6 8l4 4",
  download: "M8 2.500v7M5 7l3 3 3-3M3 13h10",
  table: "M2.5 3.500h11v9h-11zM2.5 6.500h11M6.5 6.500v6",
  chart: "M2.5 12l3.5-4.5 3 2.5 4.5-6",
  plus: "M8 3.500v9M3.5 8h9",
  calendar: "M2.5 4h11v9.500h-11zM2.5 7h11M5.5 2.500V5M10.5 2.500V5",
  info: "M8 2.500a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 7.500v3M8 5.300v.01",
  check: "M3 8.5 6.5 12 13 4.5",
  back: "M7 3.5 2.5 8 7 12.500M2.5 8h11",
  open: "M6 3H3v10h10v-3M9 3h4v4M13 3 7.5 8.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg width="20" height="20" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M16 3c6 7 9.5 11.5 9.5 16a9.5 9.5 0 0 1-19 0C6.5 14.5 10 10 16 3z" fill="none" stroke="currentColor" stroke-width="2.5" stroke-linejoin="round" />
      <path d="M8.5 19h15a7.5 7.5 0 0 1-15 0z" fill="var(--accent)" />
    </svg>
  );
}
