package httpapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sluice/internal/sale"
)

// weekdays are the names of the fields of opening hours, in their order.
var weekdays = [len(sale.Hours{})]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// hoursBody is opening hours as JSON: {"mon":"11:00-21:00"}; a day that is not there
// is closed.
type hoursBody sale.Hours

// MarshalJSON writes the days that are open, from Monday on.
func (h hoursBody) MarshalJSON() ([]byte, error) {
	text := []byte("{")
	for i, span := range h {
		if span == nil {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `"%s":"%s-%s"`, weekdays[i], clock(span.Opens), clock(span.Closes))
	}
	return append(text, '}'), nil
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

var spanForm = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$`)

// span reads the hours of one day.
func span(text string) (s sale.Span, rule string) {
	parts := spanForm.FindStringSubmatch(text)
	if parts == nil {
		return s, "must look like 11:00-21:00"
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(parts[i+1]) // digits, says the form
	}
	return sale.Span{Opens: n[0]*60 + n[1], Closes: n[2]*60 + n[3]}, ""
}

// hours reads opening hours, as strictly as the body that they are part of. Whether
// they make sense is for sale.Store.Check to say.
func hours(raw string) (hours sale.Hours, rule string) {
	var days []field
	for i, name := range weekdays {
		days = append(days, field{name: name, read: given(&hours[i], quoted(span)), optional: true})
	}
	if faults, err := readFields(json.NewDecoder(strings.NewReader(raw)), days); err != nil || len(faults) > 0 {
		return sale.Hours{}, `must be an object like {"mon":"11:00-21:00","sat":"12:00-23:30"}, of the days mon to sun`
	}
	return hours, ""
}
