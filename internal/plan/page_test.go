package plan

import (
	"flag"
	"os"
	"strings"
	"testing"

	"sluice/docs"
)

var update = flag.Bool("update", false, "write the computed parts of docs/scaling.md anew")

const pageFile = "../../docs/scaling.md"

// TestScalingPage: what the page says was computed is what is computed, from the figures that
// are in benchmarks.json now.
func TestScalingPage(t *testing.T) {
	parts, err := Page(docs.Benchmarks)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Fill(page, parts)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(pageFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != string(want) {
		t.Error("docs/scaling.md is not what is computed: go test ./internal/plan -run ScalingPage -update")
	}
}

// TestProofs: the simulated machine does what the measured one did, as far as is stated.
func TestProofs(t *testing.T) {
	proofs, err := Prove(docs.Benchmarks)
	if err != nil {
		t.Fatal(err)
	}
	if len(proofs) < 15 {
		t.Errorf("%d proofs", len(proofs))
	}
	for _, p := range proofs {
		if !p.Holds() {
			t.Errorf("%s: measured %v, simulated %v: %s", p.What, p.Measured, p.Predicted, p.off())
		}
	}
}

// TestProofsCanFail: a machine that was measured at half its speed, or at twice, is not what
// the simulation says.
func TestProofsCanFail(t *testing.T) {
	p := Proof{Measured: 100, Predicted: 100, Within: ratesWithin}
	if !p.Holds() {
		t.Error("a prediction that is right does not hold")
	}
	p.Neighbours = 0.5
	if p.Predicted = 300; !p.Holds() || !strings.Contains(p.off(), "not judged") {
		t.Error("what was measured among neighbours is judged")
	}
	p.Neighbours = 0
	for _, predicted := range []float64{50, 200} {
		if p.Predicted = predicted; p.Holds() || !strings.Contains(p.off(), "MORE THAN STATED") {
			t.Errorf("%v holds", predicted)
		}
	}
}

func TestFill(t *testing.T) {
	parts := map[string]string{"a": "new\n"}
	got, err := Fill([]byte("x\n<!-- plan:a -->\nold\n<!-- /plan -->\ny\n"), parts)
	if err != nil || string(got) != "x\n<!-- plan:a -->\nnew\n<!-- /plan -->\ny\n" {
		t.Errorf("%q, %v", got, err)
	}
	for name, bad := range map[string]string{
		"no place":      "x\n",
		"no end":        "<!-- plan:a -->\nold\n",
		"an end less":   "<!-- plan:a -->\n<!-- plan:b -->\n<!-- /plan -->\n",
		"another place": "<!-- plan:a -->\n<!-- /plan -->\n<!-- plan:b -->\n<!-- /plan -->\n",
		"twice":         "<!-- plan:a -->\n<!-- /plan -->\n<!-- plan:a -->\n<!-- /plan -->\n",
	} {
		if _, err := Fill([]byte(bad), parts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
