"""From Amaranth's netlist to Verilog that reads like written code.

`rtlil` reads the netlist's text, `flatten` puts Amaranth's own sub-modules into the components that use them, `build`
finds what drives each wire of a `netlist`, `simplify` takes out what has no effect, `registers` brings together what
changes under the same conditions, `names` chooses the names, `text` writes expressions and `module_text` modules.
"""
