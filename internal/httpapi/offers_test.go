package httpapi

import (
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/sale"
)

// offers are a body that makes a sale of each kind, opening at that time, and what
// its fields must not be.
func offers(at time.Time) (good map[sale.Kind]object, bad func(sale.Kind) map[string][]string) {
	common := func(kind sale.Kind, more ...[2]string) object {
		return append(object{
			{"title", `"Lamp"`}, {"description", `"It shines."`}, {"kind", `"` + string(kind) + `"`}, {"stock", "10"}, {"limit", "3"}, {"show_stock", "true"},
			{"opens_at", quote(at)}, {"closes_at", quote(at.Add(10 * time.Minute))}, {"refund_window", "3600"},
		}, more...)
	}
	held := []([2]string){{"unit_price", "1000"}, {"hold", "60"}, {"line", "5"}, {"max_bypass", "1"}}
	good = map[sale.Kind]object{
		sale.Auction:     common(sale.Auction, [][2]string{{"policy", `"constant"`}, {"start_price", "1000"}, {"drop", "10"}, {"period", "60"}}...),
		sale.Reservation: common(sale.Reservation, held...),
		sale.Coupon:      common(sale.Coupon, [][2]string{{"amount_off", "10"}, {"valid_from", quote(at)}, {"valid_until", quote(at.Add(time.Hour))}}...).with("limit", "1"),
		sale.Event:       common(sale.Event, append(held, [2]string{"starts_at", quote(at.Add(time.Hour))})...),
	}
	return good, func(kind sale.Kind) map[string][]string {
		all := map[string][]string{
			"title":         append([]string{`""`, `"  "`, `"a\u0000b"`, `"a\nb"`, `"\u007f"`, `"` + strings.Repeat("ü", 201) + `"`}, noText...),
			"description":   append([]string{`"a\u0000b"`, `"\u0007"`, `"` + strings.Repeat("x", 4001) + `"`}, noText...),
			"kind":          append([]string{`""`, `"Auction"`, `"slot"`}, noText...),
			"stock":         append([]string{`1000000001`}, noWhole...),
			"limit":         append([]string{`1000000001`}, noWhole...),
			"show_stock":    noTruth,
			"opens_at":      append([]string{quote(time.Now().Add(-time.Minute).UTC().Truncate(time.Second))}, noTime...),
			"closes_at":     append([]string{quote(at)}, noTime...),
			"refund_window": append([]string{`7776001`}, noCount...),
		}
		own := map[sale.Kind]map[string][]string{
			sale.Auction: {
				"stock":       {`2`},
				"closes_at":   {quote(at.Add(61 * time.Minute)), quote(at.Add(61 * time.Second))},
				"policy":      append([]string{`""`, `"linear"`, `"Constant"`, `"fixed"`}, noText...),
				"start_price": append([]string{`90`}, noWhole...),
				"drop":        append([]string{`1000`, `1001`}, noWhole...),
				"rate":        append([]string{`1`, `5001`}, noWhole...), // 1 is right in itself, but not for this policy
				"period":      append([]string{`3601`, `7`}, noWhole...),
			},
			sale.Reservation: {
				"stock":      {`2`},
				"closes_at":  {quote(at.Add(sale.MaxSpan + time.Second))},
				"unit_price": noCount,
				"hold":       append([]string{`604801`}, noWhole...),
				"line":       append([]string{`100001`}, noCount...),
				"max_bypass": append([]string{`1001`}, noCount...),
			},
			sale.Coupon: {
				"limit":       {`2`},
				"amount_off":  noWhole,
				"valid_from":  append([]string{quote(at.Add(10 * time.Minute))}, noTime...),
				"valid_until": append([]string{quote(at)}, noTime...),
			},
			sale.Event: {
				"stock":      {`2`},
				"closes_at":  {quote(at.Add(sale.MaxSpan + time.Second))},
				"unit_price": noCount,
				"hold":       append([]string{`604801`}, noWhole...),
				"line":       append([]string{`100001`}, noCount...),
				"max_bypass": append([]string{`1001`}, noCount...),
				"starts_at":  append([]string{quote(at.Add(5 * time.Minute))}, noTime...),
			},
		}
		for name, values := range own[kind] {
			all[name] = append(slices.Clone(all[name]), values...)
		}
		// What other kinds have is wrong here, however right in itself.
		for other, body := range good {
			for _, f := range body {
				if other != kind && catalog.Belongs(f[0], kind) != "" {
					all[f[0]] = append(slices.Clone(all[f[0]]), f[1])
				}
			}
		}
		return all
	}
}

// foreign are the fields that are tried on a sale of a kind though its body has none.
var foreign = func() map[sale.Kind][]string {
	good, _ := offers(time.Now())
	all := map[sale.Kind][]string{}
	for kind := range good {
		names := map[string]bool{}
		for _, body := range good {
			for _, f := range body {
				names[f[0]] = catalog.Belongs(f[0], kind) != ""
			}
		}
		maps.DeleteFunc(names, func(_ string, is bool) bool { return !is })
		all[kind] = slices.Collect(maps.Keys(names))
	}
	all[sale.Auction] = append(all[sale.Auction], "rate") // of the other policy
	return all
}()

// badStore is what a store's fields must not be.
var badStore = map[string][]string{
	"title":         append([]string{`""`, `"  "`, `"a\u0000b"`, `"` + strings.Repeat("ü", 201) + `"`}, noText...),
	"description":   append([]string{`"a\u0000b"`, `"` + strings.Repeat("x", 4001) + `"`}, noText...),
	"time_zone":     append([]string{`""`, `"Local"`, `"Berlin"`, `"Europe/Atlantis"`, `"../../etc/passwd"`, `"` + strings.Repeat("x", 65) + `"`}, noText...),
	"tables":        append([]string{`1001`}, noWhole...),
	"hours":         noHours,
	"unit_price":    append([]string{`9007199254741`}, noCount...),
	"refund_window": append([]string{`7776001`}, noCount...),
	"hold":          append([]string{`604801`}, noWhole...),
	"days_ahead":    append([]string{`61`}, noWhole...),
}
