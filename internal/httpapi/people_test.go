package httpapi

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// person is somebody who has signed up.
type person struct {
	accounts.Tokens
	email, password string
}

var people atomic.Int64

// person signs somebody up, beside the API and so without its limits.
func (h *house) person(role accounts.Role) person {
	h.t.Helper()
	p := person{email: fmt.Sprintf("%s-%d@Example.org", role, people.Add(1)), password: fmt.Sprintf("hunter-%d-secret", people.Add(1))}
	var err error
	if role == accounts.Admin {
		if _, err = h.accounts.CreateAdmin(h.t.Context(), p.email, p.password); err == nil {
			p.Tokens, err = h.accounts.SignIn(h.t.Context(), p.email, p.password, "")
		}
	} else {
		p.Tokens, err = h.accounts.SignUp(h.t.Context(), p.email, p.password, role, "")
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// rich is a person with points.
func (h *house) rich(role accounts.Role, points int64) person {
	h.t.Helper()
	p := h.person(role)
	if _, err := h.accounts.TopUp(h.t.Context(), p.Account, points, ""); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// of makes a sale one of this seller's.
func of(seller int64) func(*sale.Sale) { return func(s *sale.Sale) { s.Seller = seller } }

// query asks the database for one value: what no part of the API can see or do.
func query[T any](h *house, sql string, args ...any) (answer T) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.postgres)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close(h.t.Context())
	if err := conn.QueryRow(h.t.Context(), sql, args...).Scan(&answer); err != nil {
		h.t.Fatal(err)
	}
	return answer
}

// record is all that the API writes to Postgres, in one word.
func (h *house) record() string {
	h.t.Helper()
	return query[string](h, `
		select concat_ws(' ',
			(select md5(string_agg(a::text, ',' order by id)) from accounts a),
			(select md5(string_agg(w::text, ',' order by id)) from wallets w),
			(select md5(string_agg(e::text, ',' order by id)) from entries e),
			(select md5(string_agg(s::text, ',' order by id)) from sales s),
			(select md5(string_agg(r::text, ',' order by id)) from receipts r),
			(select md5(string_agg(s::text, ',' order by id)) from stores s),
			(select md5(string_agg(c::text, ',' order by id)) from coupons c),
			(select md5(string_agg(o::text, ',' order by receipt)) from orders o),
			(select md5(string_agg(n::text, ',' order by id)) from notices n),
			(select md5(string_agg(w::text, ',' order by sale, account)) from watches w),
			(select md5(string_agg(a::text, ',' order by receipt)) from attendance a))`)
}

// offer is a body that makes a sale, ten seconds from now at the earliest, with
// some fields changed. A change to "" leaves a field out.
func offer(opens time.Duration, changes ...[2]string) string {
	at := time.Now().Add(opens).UTC().Truncate(time.Second)
	body := object{
		{"title", `"Lamp"`}, {"description", `"A lamp.\nIt shines."`}, {"kind", `"auction"`},
		{"stock", "10"}, {"limit", "3"}, {"show_stock", "true"},
		{"opens_at", quote(at)}, {"closes_at", quote(at.Add(10 * time.Minute))}, {"refund_window", "3600"},
		{"policy", `"constant"`}, {"start_price", "1000"}, {"drop", "10"}, {"period", "60"},
	}
	for _, change := range changes {
		body = body.with(change[0], change[1])
	}
	return body.String()
}

func quote(t time.Time) string { return `"` + t.Format(time.RFC3339Nano) + `"` }

// object is a JSON object whose fields keep their order: name and raw value.
type object [][2]string

func (o object) String() string {
	text := "{"
	for i, f := range o {
		if i > 0 {
			text += ","
		}
		text += `"` + f[0] + `":` + f[1]
	}
	return text + "}"
}

// with answers o with one field changed, added, or, to "", left out.
func (o object) with(name, raw string) object {
	made, found := object{}, false
	for _, f := range o {
		if f[0] == name {
			found = true
			f[1] = raw
		}
		if f[1] != "" {
			made = append(made, f)
		}
	}
	if !found && raw != "" {
		made = append(made, [2]string{name, raw})
	}
	return made
}

// shift moves a sale in time, as if it had been made that much earlier, and has
// Redis forget it.
func (h *house) shift(id int64, by time.Duration) {
	h.t.Helper()
	p := query[int](h, `
		update sales
		set opens_at = opens_at - $2::interval, closes_at = closes_at - $2::interval, payout_at = payout_at - $2::interval
		where id = $1
		returning partition`, id, by)
	if err := h.store.Forget(h.t.Context(), p, id); err != nil {
		h.t.Fatal(err)
	}
}

func TestObject(t *testing.T) {
	o := object{{"a", "1"}, {"b", "2"}}
	if got := o.with("a", "").with("b", "3").with("c", `"x"`).String(); got != `{"b":3,"c":"x"}` {
		t.Error(got)
	}
}
