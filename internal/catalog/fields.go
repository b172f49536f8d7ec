package catalog

import (
	"slices"
	"strings"

	"sluice/internal/sale"
)

// kindsOf is the fields of a sale, by their JSON names, that not every kind has.
var kindsOf = map[string][]sale.Kind{
	"policy":      {sale.Auction},
	"start_price": {sale.Auction},
	"drop":        {sale.Auction},
	"rate":        {sale.Auction},
	"period":      {sale.Auction},
	"unit_price":  {sale.Reservation, sale.Event},
	"hold":        {sale.Reservation, sale.Event},
	"line":        {sale.Reservation, sale.Event},
	"max_bypass":  {sale.Reservation, sale.Event},
	"amount_off":  {sale.Coupon},
	"valid_from":  {sale.Coupon},
	"valid_until": {sale.Coupon},
	"starts_at":   {sale.Event},
}

// Belongs says whether a sale of this kind has the field: "", or the rule that it
// breaks by having it.
func Belongs(field string, kind sale.Kind) (rule string) {
	kinds, some := kindsOf[field]
	if !some || slices.Contains(kinds, kind) {
		return ""
	}
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return "belongs to the kind " + strings.Join(words, " or ")
}

// foreign answers the faults of an edit of a sale that has not all of its fields.
func (e Edit) foreign(kind sale.Kind) error {
	var faults sale.Faults
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"policy", e.Policy != nil},
		{"start_price", e.StartPrice != nil},
		{"drop", e.Drop != nil},
		{"rate", e.Rate != nil},
		{"period", e.Period != nil},
		{"unit_price", e.UnitPrice != nil},
		{"hold", e.Hold != nil},
		{"line", e.Line != nil},
		{"max_bypass", e.MaxBypass != nil},
		{"amount_off", e.AmountOff != nil},
		{"valid_from", e.ValidFrom != nil},
		{"valid_until", e.ValidUntil != nil},
		{"starts_at", e.StartsAt != nil},
	} {
		if rule := Belongs(f.name, kind); f.given && rule != "" {
			faults = append(faults, sale.Fault{Field: f.name, Rule: rule})
		}
	}
	if faults == nil {
		return nil
	}
	return faults
}

// differ answers the JSON names of the fields, text apart, in which two sales are
// not the same.
func differ(a, b sale.Sale) (fields []string) {
	price := "unit_price"
	if a.Kind == sale.Auction {
		price = "start_price"
	}
	for _, f := range []struct {
		name string
		same bool
	}{
		{"kind", a.Kind == b.Kind},
		{"policy", a.Price.Policy == b.Price.Policy},
		{price, a.Price.Start == b.Price.Start},
		{"drop", a.Price.Drop == b.Price.Drop},
		{"rate", a.Price.Rate == b.Price.Rate},
		{"period", a.Price.Period == b.Price.Period},
		{"stock", a.Stock == b.Stock},
		{"limit", a.Limit == b.Limit},
		{"opens_at", a.OpensAt == b.OpensAt},
		{"closes_at", a.ClosesAt == b.ClosesAt},
		{"refund_window", a.RefundWindow == b.RefundWindow},
		{"show_stock", a.ShowStock == b.ShowStock},
		{"hold", a.Hold == b.Hold},
		{"line", a.LineMost == b.LineMost},
		{"max_bypass", a.MaxBypass == b.MaxBypass},
		{"amount_off", a.AmountOff == b.AmountOff},
		{"valid_from", a.ValidFrom == b.ValidFrom},
		{"valid_until", a.ValidUntil == b.ValidUntil},
		{"starts_at", a.StartsAt == b.StartsAt},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}
