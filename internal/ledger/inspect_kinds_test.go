package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestBooksOfRandomHistories plays random requests of every kind and asks the books
// everything: none of it is wrong, and an inspection sees each sale as Stand does.
func TestBooksOfRandomHistories(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			st := newStage(t)
			st.stageOfAll()
			who := st.buyers(8, 300)
			var known []uuid.UUID
			for range 150 {
				e := st.random(random, who, known)
				known = append(known, e.Receipt)
				st.later(time.Duration(random.IntN(60)) * time.Second)
				st.settle(e)
			}
			err := st.Inspect(t.Context(), func(i *Inspection) error {
				for name, ask := range map[string]Discrepancies{
					"units": (*Inspection).Units, "revenue": (*Inspection).Revenue, "limits": (*Inspection).Limits, "refunds": (*Inspection).Refunds,
					"targets": (*Inspection).Targets, "orders": (*Inspection).Orders, "coupons": (*Inspection).Coupons, "wallets": (*Inspection).Wallets,
					"conservation": (*Inspection).Conservation, "escrows": (*Inspection).Escrows, "payments": (*Inspection).Payments,
					"payouts": (*Inspection).Payouts, "notices": (*Inspection).Notices, "orphans": (*Inspection).Orphans,
				} {
					if err := ask(i, t.Context(), func(d Discrepancy) { t.Errorf("%s: %+v", name, d) }); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
				}
				return st.sameStands(t.Context(), i)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// sameStands compares what an inspection sees with what a sale is loaded from.
func (st *stage) sameStands(ctx context.Context, i *Inspection) error {
	stands, err := i.Stands(ctx, 0)
	if err != nil {
		return err
	}
	places := 0
	for id, seen := range stands {
		loaded, _, err := st.Stand(ctx, id)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(seen, loaded) {
			st.t.Errorf("inspected %+v, loaded %+v", seen, loaded)
		}
		places += len(seen.Holds) + len(seen.Line)
	}
	if places == 0 {
		st.t.Error("nobody holds or waits")
	}
	return nil
}
