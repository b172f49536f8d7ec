package lookout

import (
	"fmt"
	"strconv"
	"time"
)

// unknown is shown where nobody knows.
const unknown = "?"

// count is a number with its thousands apart.
func count(n *int64) string {
	if n == nil {
		return unknown
	}
	digits := strconv.FormatInt(*n, 10)
	sign := ""
	if *n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// rate is a number per second: whole ones, unless there are few.
func rate(v *float64) string {
	switch {
	case v == nil:
		return unknown
	case *v > 0 && *v < 10:
		return fmt.Sprintf("%.1f", *v)
	}
	return count(whole(v))
}

// seconds is a time in the precision that an operator cares for.
func seconds(v *float64) string {
	if v == nil {
		return unknown
	}
	switch d := time.Duration(*v * float64(time.Second)); {
	case d == 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
}

// size is a number of bytes.
func size(n *int64) string {
	if n == nil {
		return unknown
	}
	v := float64(*n)
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if v < 1024 {
			return fmt.Sprintf("%.0f %s", v, unit)
		}
		v /= 1024
	}
	return fmt.Sprintf("%.1f GiB", v)
}

func text(s *string) string {
	if s == nil {
		return unknown
	}
	return *s
}
