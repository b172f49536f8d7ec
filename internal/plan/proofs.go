package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteProofs writes what was measured beside what the simulation makes of it.
func WriteProofs(w io.Writer, proofs []Proof, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(proofs)
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "  \tmeasured\tsimulated\toff by\tstated\tscenario\n")
	for _, p := range proofs {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", p.What, quantity(p.Measured, p.Unit), quantity(p.Predicted, p.Unit), p.off(), "± "+percent(p.Within), p.From)
	}
	return table.Flush()
}

func (p Proof) off() string {
	text := fmt.Sprintf("%+.0f %%", p.Off()*100)
	if !p.Judged() {
		text += fmt.Sprintf(" (not judged: others had %.0f %% of the cores)", p.Neighbours*100)
	}
	if !p.Holds() {
		text += ": MORE THAN STATED"
	}
	return text
}

func quantity(v float64, unit string) string {
	if unit == "/s" {
		return number(v) + unit
	}
	return number(v) + " " + unit
}
