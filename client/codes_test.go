package client

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unnamed are the codes of the API that have no constant here: what this package
// cannot be answered, or only for a mistake of its own; early is for ticks alone.
var unnamed = strings.Fields(`bad_request bad_json idempotency_key_invalid method_not_allowed request_timeout body_too_large
	unsupported_media_type header_too_large method_unknown early`)

// TestCodes: the API and its client know the same codes.
func TestCodes(t *testing.T) {
	theirs := words(t, "../internal/httpapi", "code")
	maps.Copy(theirs, words(t, "../internal/sale", "Code"))
	for _, complaint := range differences(words(t, ".", "Code"), theirs, unnamed) {
		t.Error(complaint)
	}
}

// TestCodesThatDiffer is the known-bad twin.
func TestCodesThatDiffer(t *testing.T) {
	set := func(s string) map[string]bool {
		all := map[string]bool{}
		for _, word := range strings.Fields(s) {
			all[word] = true
		}
		return all
	}
	for _, test := range []struct {
		ours, theirs, unnamed string
		want                  int
	}{
		{"a b", "a b c", "c", 0},
		{"a b", "a b c", "", 1},
		{"a b d", "a b", "", 1},
		{"a b", "a b", "c", 1},
		{"a b", "a b", "b", 1},
	} {
		if got := differences(set(test.ours), set(test.theirs), strings.Fields(test.unnamed)); len(got) != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// differences lists what is wrong between our codes and the API's.
func differences(ours, theirs map[string]bool, unnamed []string) (wrong []string) {
	for _, code := range slices.Sorted(maps.Keys(ours)) {
		if !theirs[code] {
			wrong = append(wrong, "the API has no code "+code)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(theirs)) {
		if !ours[code] && !slices.Contains(unnamed, code) {
			wrong = append(wrong, code+" has no constant here: give it one, or a place among the unnamed")
		}
	}
	for _, code := range unnamed {
		if !theirs[code] || ours[code] {
			wrong = append(wrong, code+" is unnamed for nothing")
		}
	}
	return wrong
}

// words answers the strings that the constants of a type are, in the package in dir.
func words(t *testing.T, dir, typeName string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			value, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if typed, ok := value.Type.(*ast.Ident); !ok || typed.Name != typeName {
				return true
			}
			for _, v := range value.Values {
				if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					word, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					found[word] = true
				}
			}
			return true
		})
	}
	if len(found) == 0 {
		t.Fatalf("%s has no constants of type %s", dir, typeName)
	}
	return found
}
