package internal

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors is the picture of doc.go as data. A package that is not in it fails
// the test: a new one must find its floor first.
var floors = map[string]int{
	"sluice/internal/sale": 0,

	"sluice/internal/partition": 1,
	"sluice/internal/sessions":  1,
	"sluice/internal/ledger":    1,

	"sluice/internal/admission":   2,
	"sluice/internal/settlement":  2,
	"sluice/internal/receipts":    2,
	"sluice/internal/news":        2,
	"sluice/internal/catalog":     2,
	"sluice/internal/bookings":    2,
	"sluice/internal/coupons":     2,
	"sluice/internal/notices":     2,
	"sluice/internal/accounts":    2,
	"sluice/internal/upkeep":      2,
	"sluice/internal/survey":      2,
	"sluice/internal/audit":       2,
	"sluice/internal/deadletters": 2,

	"sluice/internal/httpapi": 3,
	"sluice/web":              3,

	"sluice/internal/process":  4,
	"sluice/internal/embedded": 4,

	"sluice/client":           5,
	"sluice/internal/demo":    5,
	"sluice/internal/torture": 5,
	"sluice/internal/lookout": 5,
	"sluice/internal/bench":   5,
	"sluice/internal/plan":    5,
	"sluice/cmd/api":          5,
	"sluice/cmd/consumer":     5,
	"sluice/cmd/scheduler":    5,
	"sluice/cmd/sluice":       5,
}

// beside are packages without a floor, each with the only packages of ours that
// may import it and the packages of ours that it may import.
var beside = map[string]struct{ importedBy, imports []string }{
	"sluice/internal": {},
	"sluice/migrations": {
		importedBy: []string{"sluice/internal/process", "sluice/internal/embedded/embeddedtest"},
	},
	// How the address of a Redis is written, of whichever kind it is, and clients for it.
	"sluice/internal/redisurl": {
		importedBy: []string{"sluice/internal/partition", "sluice/internal/sessions", "sluice/internal/process",
			"sluice/internal/embedded/embeddedtest", "sluice/internal/torture", "sluice/internal/bench"},
	},
	// What was measured, for who counts with it.
	"sluice/docs": {
		importedBy: []string{"sluice/internal/plan", "sluice/cmd/sluice"},
	},
	// How the log is written, by whoever is sampled in it or sets its level.
	"sluice/internal/logs": {
		importedBy: []string{"sluice/internal/settlement", "sluice/internal/httpapi", "sluice/internal/process"},
	},
	// Real servers for tests. Nothing but a _test.go file may import it, and what only
	// such files import.
	"sluice/internal/embedded/embeddedtest": {
		importedBy: []string{"sluice/internal/housetest"},
		imports:    []string{"sluice/internal/embedded", "sluice/internal/redisurl", "sluice/migrations"},
	},
	// A second, naive telling of the rules, and random histories, for tests.
	"sluice/internal/sale/saletest": {
		imports: []string{"sluice/internal/sale"},
	},
	// The journeys together in miniature, for their tests.
	"sluice/internal/housetest": {
		imports: []string{"sluice/internal/admission", "sluice/internal/receipts", "sluice/internal/settlement",
			"sluice/internal/ledger", "sluice/internal/partition", "sluice/internal/sale", "sluice/internal/embedded/embeddedtest"},
	},
}

// exceptions are the arrows that the floors alone would forbid.
var exceptions = map[string]func(to string) bool{
	// process builds every part, so it knows every part below it.
	"sluice/internal/process": func(to string) bool { return floors[to] < 4 },
	// The pages and the tools are clients like any other.
	"sluice/web":              func(to string) bool { return to == "sluice/client" },
	"sluice/internal/demo":    func(to string) bool { return to == "sluice/client" },
	"sluice/internal/torture": func(to string) bool { return to == "sluice/client" },
	// What measures a phase alone must call it alone.
	"sluice/internal/bench": func(to string) bool { return floors[to] <= 4 },
	// The command line offers the tools.
	"sluice/cmd/sluice": func(to string) bool {
		return to == "sluice/internal/demo" || to == "sluice/internal/torture" || to == "sluice/internal/lookout" || to == "sluice/internal/bench" ||
			to == "sluice/internal/plan"
	},
}

// drivers says which packages may know what we are built with.
var drivers = map[string][]string{
	"github.com/redis/go-redis": {"sluice/internal/partition", "sluice/internal/sessions", "sluice/internal/process", "sluice/internal/redisurl", "sluice/internal/embedded", "sluice/internal/embedded/embeddedtest", "sluice/internal/bench"},
	"github.com/jackc/pgx":      {"sluice/internal/ledger", "sluice/internal/process", "sluice/internal/embedded", "sluice/internal/embedded/embeddedtest", "sluice/migrations", "sluice/internal/bench"},
	"github.com/gofiber/fiber":  {"sluice/internal/httpapi"},
	"github.com/valyala":        {"sluice/internal/httpapi", "sluice/internal/bench"},
}

func TestFloors(t *testing.T) {
	packages := list(t)
	if len(packages) < len(floors) {
		t.Errorf("the module has %d packages, the picture %d", len(packages), len(floors))
	}
	for name, imports := range packages {
		for _, complaint := range complaints(name, imports) {
			t.Error(complaint)
		}
	}
}

// TestFloorsCatchTurnedArrows is the known-bad twin: each of these arrows must
// be refused, or TestFloors proves nothing.
func TestFloorsCatchTurnedArrows(t *testing.T) {
	for _, bad := range []struct{ from, to string }{
		{"sluice/internal/sale", "sluice/internal/partition"},
		{"sluice/internal/partition", "sluice/internal/ledger"},
		{"sluice/internal/partition", "sluice/internal/settlement"},
		{"sluice/internal/httpapi", "sluice/internal/partition"},
		{"sluice/internal/admission", "sluice/internal/settlement"},
		{"sluice/internal/demo", "sluice/internal/ledger"},
		{"sluice/internal/torture", "sluice/internal/audit"},
		{"sluice/client", "sluice/internal/sale"},
		{"sluice/web", "sluice/internal/receipts"},
		{"sluice/web", "sluice/internal/httpapi"},
		{"sluice/internal/settlement", "github.com/redis/go-redis/v9"},
		{"sluice/internal/partition", "github.com/jackc/pgx/v5"},
		{"sluice/internal/process", "github.com/gofiber/fiber/v2"},
		{"sluice/internal/settlement", "sluice/internal/embedded/embeddedtest"},
		{"sluice/internal/settlement", "sluice/migrations"},
		{"sluice/internal/settlement", "sluice/internal/redisurl"},
		{"sluice/internal/plan", "sluice/internal/partition"},
		{"sluice/internal/bench", "sluice/docs"},
		{"sluice/internal/stranger", "sluice/internal/sale"},
	} {
		if len(complaints(bad.from, []string{bad.to})) == 0 {
			t.Errorf("%s → %s went through", bad.from, bad.to)
		}
	}
}

// complaints lists what is wrong with the imports of one package.
func complaints(name string, imports []string) (wrong []string) {
	floor, known := floors[name]
	if name == "sluice/client" { // public: whoever copies it must not need the rest
		floor = -2
	}
	if name == "sluice/web" { // it knows the words, and asks the API for everything else
		floor = 1
	}
	aside, isAside := beside[name]
	if !known && !isAside {
		return []string{name + " has no floor: draw it in doc.go and floors_test.go"}
	}
	for _, to := range imports {
		if !strings.HasPrefix(to, "sluice/") {
			for driver, allowed := range drivers {
				if strings.HasPrefix(to, driver) && !slices.Contains(allowed, name) {
					wrong = append(wrong, name+" may not know "+driver)
				}
			}
			continue
		}
		if target, ok := beside[to]; ok {
			if !slices.Contains(target.importedBy, name) {
				wrong = append(wrong, name+" may not import "+to)
			}
			continue
		}
		toFloor, ok := floors[to]
		switch {
		case isAside:
			ok = slices.Contains(aside.imports, to)
		case ok && exceptions[name] != nil && exceptions[name](to):
		default:
			ok = ok && (toFloor == floor-1 || toFloor == 0 && floor > 0)
		}
		if !ok {
			wrong = append(wrong, name+" may not import "+to)
		}
	}
	return wrong
}

// list answers every package of the module with what its shipped files import.
func list(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "sluice/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p.Imports
	}
	return packages
}
