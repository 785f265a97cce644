import { Screen } from "../ui/screen";

export default function Agents() {
  return <Screen title="Agents">{null}</Screen>;
}
