import js from "@eslint/js";
import globals from "globals";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

// One-way street: lib and design know nothing above them, a feature never reaches into another, app joins them.
const wall = (files, forbidden, message) => ({
  files,
  rules: { "no-restricted-imports": ["error", { patterns: [{ group: forbidden, message }] }] },
});

export default tseslint.config(
  { ignores: ["dist", "node_modules"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/consistent-type-imports": "error",
    },
  },
  { files: ["**/*.{js,mjs}"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  wall(
    ["src/lib/**", "src/i18n/**"],
    ["**/design/**", "**/features/**", "**/app/**"],
    "lib stands below design, features and app",
  ),
  wall(["src/design/**"], ["**/features/**", "**/app/**"], "design stands below features and app"),
  wall(
    ["src/features/operations/**"],
    ["**/features/account/**", "../account/**", "**/features/climate/**", "../climate/**", "**/app/**"],
    "features do not import each other",
  ),
  wall(
    ["src/features/account/**"],
    ["**/features/operations/**", "../operations/**", "**/features/climate/**", "../climate/**", "**/app/**"],
    "features do not import each other",
  ),
  wall(
    ["src/features/climate/**"],
    ["**/features/operations/**", "../operations/**", "**/features/account/**", "../account/**", "**/app/**"],
    "features do not import each other",
  ),
);
