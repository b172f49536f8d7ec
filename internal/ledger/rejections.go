package ledger

import (
	"cmp"
	"maps"
	"slices"

	"sluice/internal/sale"
)

// rejections counts the requests to buy that were rejected at once, by sale and
// reason: the batch's log knows them one by one, but not for ever.
func (w *writes) rejections() {
	type kind struct {
		sale   int64
		reason sale.Reason
	}
	counts := map[kind]int64{}
	for i, e := range w.batch.Entries {
		o := w.batch.Outcomes[i]
		if o.Status == sale.Rejected && !o.Stands && e.Verb.Buys() && w.batch.State[e.Sale] != nil {
			counts[kind{e.Sale, o.Reason}]++
		}
	}
	var sales, ns []int64
	var reasons []string
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.sale, b.sale), cmp.Compare(a.reason, b.reason))
	}) {
		sales, reasons, ns = append(sales, k.sale), append(reasons, k.reason.String()), append(ns, counts[k])
	}
	w.add(len(sales), `
		insert into rejections (sale, reason, n)
		select sale, reason, n
		from unnest($1::bigint[], $2::text[], $3::bigint[]) as r (sale, reason, n)
		on conflict (sale, reason) do update
		set n = rejections.n + excluded.n`, sales, reasons, ns)
}
