export function hello(): void {
  console.log("hello from AssemblyScript");
}
