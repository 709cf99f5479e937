"""The linked module to steps: WebAssembly's operand stack becomes frame slots."""
