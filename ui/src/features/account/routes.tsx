import { AccountPage } from "./AccountPage";
import { SignInPage } from "./SignInPage";

export default function AccountRoutes({ page }: { page: "signin" | "account" }) {
  return page === "signin" ? <SignInPage /> : <AccountPage />;
}
