package internal

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyTestsCheapen: what Cheapen has hashed is easily guessed. Nothing that is
// shipped calls it, or hands it on.
func TestOnlyTestsCheapen(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=Dir,GoFiles", "sluice/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	defined := false
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			Dir     string
			GoFiles []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defined = defined || strings.Contains(string(text), ") Cheapen() {")
			if cheapens(t, string(text)) {
				t.Errorf("%s has passwords hashed as only tests may", path)
			}
		}
	}
	if !defined {
		t.Error("there is no Cheapen: this proves nothing")
	}
}

// TestCheapenersAreSeen is the known-bad twin.
func TestCheapenersAreSeen(t *testing.T) {
	for text, want := range map[string]bool{
		"func (a *Accounts) Cheapen() { a.hasher.cost = cheap }": false,
		"func open() { p.Accounts.Cheapen() }":                   true,
		"var hasten = accounts.New().Cheapen":                    true,
		"func open() { Cheapen() }":                              false, // it is a method
	} {
		if got := cheapens(t, "package x\n"+text); got != want {
			t.Errorf("%q cheapens: %t", text, got)
		}
	}
}

// cheapens says whether a file mentions the method Cheapen of anything.
func cheapens(t *testing.T, text string) (does bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Cheapen" {
			does = true
		}
		return true
	})
	return does
}
