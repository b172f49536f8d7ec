package internal

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// decoders is every function that makes values of bytes or words which come from
// outside or out of a store, by package. Each has a fuzz target that gets to it. A
// function whose name says that it is one, and that is not here, fails the test.
var decoders = map[string]string{
	"sluice/client":            "UnmarshalJSON problemOf retryAfter once limitsOf parseItems parseDigits next line applied pollBatch",
	"sluice/internal/accounts": "Read ReadTurn parseHash parse verify readClaims",
	"sluice/internal/embedded": "parseSight",
	"sluice/internal/httpapi": `ParseProxies ParseOrigins parseHop framingOf readFields readObject readPlain plainValue readQuery readPage readNothing readRefreshToken parse parseSaleID parseReceiptID parseLetter
		moment hours span day whole truth oneOf quoted noticeIDs receiptName idempotencyKey who wantsCSV checkMedia
		preferredWait knownTags lastEventID readNames`,
	"sluice/internal/ledger": "scanReceipt scanBatch scanStand scanStore scanStoreInto scanAccount scanEra",
	"sluice/internal/partition": `parseEntry parseRecord parseBrief parseDead parseStand parsePlaces places count parseAnnouncement parseCondition parseServer
		Admit Receipt together View Projection Sale Lead Load LinePlace Read DeadList Bury Rebuild Restore Forget Missing Hold Share`,
	"sluice/internal/process":  "parseKeys secretBytes readLine Check maskURL maskKeys Write",
	"sluice/internal/redisurl": "Parse parseServer parseMany",
	"sluice/internal/sale": `DecodeRequest DecodeEntries DecodeFacts DecodeOutcomes DecodeEffects ReceiptIn
		ParseEntryID ParseDay ParseVerb ParseStatus ParseReason parse PartitionOf KeyedReceiptID`,
	"sluice/internal/sessions": "parseToken Name Find Rotate Start Allow GiveBack EndOthers",
}

// unfuzzed are functions that are named like decoders, and why none gets to them.
var unfuzzed = map[string]string{
	"sluice/internal/process.Parse": "ends the program where the command line is wrong; FuzzFlags reads the same grammar without it",
}

// decoderName is what a decoder is called.
var decoderName = regexp.MustCompile(`^([pP]arse|[dD]ecode|[sS]can|[uU]nmarshal)([A-Z].*)?$`)

func TestEveryDecoderIsFuzzed(t *testing.T) {
	packages := packagesOf(t)
	for name, p := range packages {
		for _, complaint := range p.undecoded(name, strings.Fields(decoders[name]), unfuzzed) {
			t.Error(complaint)
		}
	}
	for name := range decoders {
		if packages[name] == nil {
			t.Errorf("%s is no package", name)
		}
	}
	for name := range unfuzzed {
		at := strings.LastIndexByte(name, '.')
		if p := packages[name[:at]]; p == nil || !p.shipped[name[at+1:]] {
			t.Errorf("%s is excepted, and is not there", name)
		}
	}
}

// TestUnfuzzedDecodersAreSeen is the known-bad twin: each of these packages must be
// complained of, and the good one not.
func TestUnfuzzedDecodersAreSeen(t *testing.T) {
	const decoder = "package x\nfunc parseThing(b []byte) (int, error) { return parseInner(b) }\nfunc parseInner(b []byte) (int, error) { return 0, nil }\n"
	for name, test := range map[string]struct {
		test, listed string
		want         int
	}{
		"good":                  {"func FuzzThing(f *testing.F) { parseThing(nil) }", "parseThing parseInner", 0},
		"by way of a helper":    {"func FuzzThing(f *testing.F) { fuzz(f) }\nfunc fuzz(f *testing.F) { parseThing(nil) }", "parseThing parseInner", 0},
		"no target":             {"", "parseThing parseInner", 2},
		"a test is no target":   {"func TestThing(t *testing.T) { parseThing(nil) }", "parseThing parseInner", 2},
		"another's target":      {"func FuzzThing(f *testing.F) { parseInner(nil) }", "parseThing parseInner", 1},
		"a target in a comment": {"// func FuzzThing(f *testing.F) { parseThing(nil) }", "parseThing parseInner", 2},
		"not listed":            {"func FuzzThing(f *testing.F) { parseThing(nil) }", "parseThing", 1},
		"listed, and not there": {"func FuzzThing(f *testing.F) { parseThing(nil) }", "parseThing parseInner scanThing", 1},
	} {
		p := newCode()
		p.read(t, "x.go", decoder)
		p.read(t, "x_test.go", "package x\nimport \"testing\"\n"+test.test)
		if got := p.undecoded("x", strings.Fields(test.listed), nil); len(got) != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	p := newCode()
	p.read(t, "x.go", decoder)
	if got := p.undecoded("x", nil, map[string]string{"x.parseThing": "so", "x.parseInner": "so"}); len(got) > 0 {
		t.Errorf("excepted: %q", got)
	}
}

// code is what stands in the files of a package. It goes by names alone: two things
// of one name are one.
type code struct {
	shipped  map[string]bool            // functions and methods outside of tests
	mentions map[string]map[string]bool // what stands in a declaration of the package, tests too
}

func newCode() *code {
	return &code{shipped: map[string]bool{}, mentions: map[string]map[string]bool{}}
}

// read adds a file.
func (c *code) read(t *testing.T, name, text string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, of ast.Node) {
		if c.mentions[name] == nil {
			c.mentions[name] = map[string]bool{}
		}
		ast.Inspect(of, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name != name {
				c.mentions[name][id.Name] = true
			}
			return true
		})
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			add(d.Name.Name, d)
			if !strings.HasSuffix(name, "_test.go") {
				c.shipped[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range value.Names {
						add(name.Name, value)
					}
				}
			}
		}
	}
}

// fuzzed answers all that the fuzz targets get to.
func (c *code) fuzzed() map[string]bool {
	var targets []string
	for name := range c.mentions {
		if strings.HasPrefix(name, "Fuzz") && !c.shipped[name] {
			targets = append(targets, name)
		}
	}
	return c.reach(targets...)
}

// reach answers all that stands in these declarations, in those of what stands there,
// and so on.
func (c *code) reach(from ...string) map[string]bool {
	reached := map[string]bool{}
	for len(from) > 0 {
		name := from[0]
		if from = from[1:]; reached[name] {
			continue
		}
		reached[name] = true
		from = slices.AppendSeq(from, maps.Keys(c.mentions[name]))
		if name == "Unmarshal" { // encoding/json calls it
			from = append(from, "UnmarshalJSON")
		}
	}
	return reached
}

// undecoded lists what is wrong with a package that has these decoders.
func (c *code) undecoded(name string, listed []string, excepted map[string]string) (wrong []string) {
	fuzzed := c.fuzzed()
	for _, function := range slices.Sorted(maps.Keys(c.shipped)) {
		if _, known := excepted[name+"."+function]; known {
			continue
		}
		if decoderName.MatchString(function) && !slices.Contains(listed, function) {
			wrong = append(wrong, name+"."+function+" is a decoder by its name: give it a fuzz target, and a place in fuzz_test.go")
		}
	}
	for _, function := range listed {
		switch {
		case !c.shipped[function]:
			wrong = append(wrong, name+"."+function+" is not there any more")
		case !fuzzed[function]:
			wrong = append(wrong, name+"."+function+" has no fuzz target")
		}
	}
	return wrong
}

// packagesOf reads every package of the module, tests and all.
func packagesOf(t *testing.T) map[string]*code {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles", "sluice/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string]*code{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			ImportPath, Dir                    string
			GoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		c := newCode()
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			c.read(t, name, string(text))
		}
		packages[p.ImportPath] = c
	}
	return packages
}
