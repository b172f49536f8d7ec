package news

import (
	"testing"

	"github.com/google/uuid"

	"sluice/internal/partition"
	"sluice/internal/sale"
)

// TestQuiet: the pulse is felt seldom only while nobody waits, nothing moves, and nothing
// that was said is unknown.
func TestQuiet(t *testing.T) {
	still := func() *News {
		return &News{byID: map[uuid.UUID]*ear{}, bySale: map[int64]*ear{}, byBuyer: map[int64]*ear{}, heard: make([]int64, 2), flows: true, memory: memory{whole: 1}}
	}
	if !still().quiet() {
		t.Fatal("it is never quiet")
	}
	for name, happens := range map[string]func(*News){
		"somebody waits for a receipt": func(n *News) { n.Receipt(uuid.New(), func() {}, func(sale.Receipt) {}) },
		"somebody follows a sale":      func(n *News) { n.Sale(7, func() {}) },
		"somebody follows his account": func(n *News) { n.Account(7, 0, func(Event) {}, func() {}) },
		"a batch is announced":         func(n *News) { n.tell(partition.Changes{Seq: 1}) },
		"a look sees something move":   func(n *News) { n.stir() },
		"messages do not flow":         func(n *News) { n.flows = false },
		"something may be missing":     func(n *News) { n.memory.gap(0) },
	} {
		n := still()
		if happens(n); n.quiet() {
			t.Errorf("%s, and it is quiet", name)
		}
	}
	n := still()
	if n.Sale(7, func() {})(); !n.quiet() {
		t.Error("it is not quiet any more when he has gone")
	}
}
