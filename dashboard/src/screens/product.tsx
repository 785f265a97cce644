import { Screen } from "../ui/screen";

export default function Product() {
  return <Screen title="Product">{null}</Screen>;
}
