package awsauth

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// maxClosest limits the number of entries that closest compares with the caller's ARN.
const maxClosest = 1000

// closest adds a near miss for the entry whose ARN is most similar to the caller's ARN. It compares at most maxClosest
// well-formed ARNs. The edit distance of the two ARNs may be at most an eighth of the length of the caller's ARN. The
// edit distance of the names in these ARNs may be at most a third of the length of the caller's name. If no entry is
// that similar, closest adds nothing.
func (s *search) closest(d *Document) {
	canonical := s.want.String()
	var best *NearMiss
	least, compared := len(canonical)/8+1, 0
	for m := range d.Mappings() {
		arn, err := m.Entry.Principal()
		if m.Entry.ARN == "" || err != nil || len(m.Entry.ARN) > len(canonical)+least || compared == maxClosest {
			continue
		}
		compared++
		distance := textutil.Distance(strings.ToLower(m.Entry.ARN), strings.ToLower(canonical))
		if distance >= least || textutil.Distance(strings.ToLower(arn.Name()), strings.ToLower(s.want.Name())) > len(s.want.Name())/3 {
			continue
		}
		var differ []string
		for _, part := range [][2]string{{arn.Partition, s.want.Partition}, {arn.Account, s.want.Account}, {arn.Resource, s.want.Resource}} {
			if !strings.EqualFold(part[0], part[1]) {
				differ = append(differ, part[0]+" instead of "+part[1])
			}
		}
		least = distance
		best = &NearMiss{m.ARN.At(), MissSpelling, "is the most similar ARN, but has " + strings.Join(differ, ", and ")}
	}
	if best != nil {
		s.add(best.Position, best.Kind, "%s", best.Why)
	}
}
