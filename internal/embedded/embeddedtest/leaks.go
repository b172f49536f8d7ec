package embeddedtest

import (
	"time"

	"go.uber.org/goleak"
)

// leakPatience is how long goroutines may take to end after the tests: what was
// told to stop may be in the middle of something, on a machine with much to do.
const leakPatience = 15 * time.Second

// lasting are goroutines of others that we cannot end. A server of fasthttp, which is
// below fiber, has one that renews the Date header. A link of toxiproxy whose peer dies
// with data under way keeps one that waits to pass it on.
var lasting = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
}

// leaked answers what goroutines are left behind once those that only need a
// moment have ended.
func leaked(patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; {
		if err := goleak.Find(lasting...); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
