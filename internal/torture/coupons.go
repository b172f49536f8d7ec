package torture

import (
	"fmt"
	"slices"
	"strings"

	"sluice/client"
)

// UsedOnce is the rule of coupons: one pays for one purchase at a time.
const UsedOnce Rule = "used_once"

// CheckCoupons finds every coupon that is used by two purchases in the end, or by one
// that is not its owner's. One of a purchase that is over can be used again. It is a
// pure function.
func CheckCoupons(h History) (found []Violation) {
	owner := map[string]int64{}     // by coupon
	uses := map[string][]*Request{} // the same
	for _, r := range h.Requests {
		switch last := r.last(); {
		case last.Status != client.Confirmed && last.Status != client.Held:
		case r.Verb == client.VerbClaim:
			owner[last.Receipt] = r.Account
		case r.Asked.Coupon != "":
			uses[r.Asked.Coupon] = append(uses[r.Asked.Coupon], r)
		}
	}
	for coupon, by := range uses {
		slices.SortFunc(by, func(a, b *Request) int { return strings.Compare(a.Key, b.Key) })
		for i, r := range by {
			switch {
			case i > 0:
				found = append(found, Violation{UsedOnce, r.Key, r.Sale, fmt.Sprintf("the coupon %s is used by %s, too", coupon, by[0].Key)})
			case r.Account != owner[coupon]:
				found = append(found, Violation{UsedOnce, r.Key, r.Sale, fmt.Sprintf("account %d uses the coupon %s of %d", r.Account, coupon, owner[coupon])})
			}
		}
	}
	slices.SortFunc(found, func(a, b Violation) int { return strings.Compare(a.Key, b.Key) })
	return found
}
