package live

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// clocksDiffer is how far the clocks of two replicas may be apart.
	clocksDiffer = 5 * time.Second
	// limitedTo is the time in which so many versions may be put back as the configuration says.
	limitedTo = time.Hour
	// maxAge is how long after a change it may be undone: long enough for the next attempt where too many
	// were made within the hour, and no longer. What has stood for longer may be meant by now.
	maxAge = limitedTo + 15*time.Minute
	// maxRun bounds the versions that are looked at, each of which is judged.
	maxRun = 32
)

// scene is all that decides whether a version is put back. Everything in it has been read before.
type scene struct {
	now    time.Time
	policy validate.Policy
	own    string // the user whom this process is to the API server
	// run are the newest versions that nobody has admitted, the last of which is stored.
	run    []*sighting
	stored event // with the annotations that it has now
	// contents are those that are known, by their hash.
	contents map[string]*awsauth.Object
	versions []history.Version // oldest first
	restores []time.Time
	limit    int // of restores
	// interrupted: this process does not watch now. Since when it does is its own word among those of the replicas.
	interrupted bool
	replicas    map[string]history.Replica // by their names
	damaged     bool                       // there is a replica whose word cannot be read
	// patience is how long after a change the replicas' word is waited for.
	patience time.Duration
}

// rescue is a version that is to be put back, and why.
type rescue struct {
	version history.Version
	loss    string
}

// Why nothing is put back. The second, third and fourth change by themselves.
var (
	errNoLoss      = errors.New("nothing is lost")
	errPending     = errors.New("somebody may still say that it was admitted")
	errNotCertain  = errors.New("not every replica has said yet that it was not asked")
	errTooOld      = errors.New("what was lost was lost too long ago")
	errLimited     = errors.New("too many versions were put back within the hour")
	errNoCandidate = errors.New("the history holds no version that could be put back")
)

// decide says what is put back, or why nothing is.
func (s *scene) decide() (*rescue, error) {
	if len(s.run) == 0 {
		return nil, errNoLoss
	}
	reason := errNoLoss
	for _, i := range s.starts() {
		loss := s.loss(i)
		if loss == "" {
			continue
		}
		if err := s.permitted(s.run[i:]); err != nil {
			return nil, err // nor is it with those before, of which the same is asked and more
		}
		version, err := s.candidate(i)
		if err != nil {
			reason = err // what was lost last may have come around the guard, too
			continue
		}
		if s.recent() >= s.limit {
			return nil, errLimited
		}
		return &rescue{version, loss}, nil
	}
	return nil, reason
}

// starts are the places in the run at which the loss may have begun: the newest first, and at last where nobody
// had gone around the guard yet.
func (s *scene) starts() (list []int) {
	for i := len(s.run) - 1; i > max(0, len(s.run)-maxRun); i-- {
		list = append(list, i)
	}
	return append(list, 0)
}

func (s *scene) recent() (n int) {
	for _, at := range s.restores {
		if age := s.now.Sub(at); age < limitedTo && age > -clocksDiffer {
			n++
		}
	}
	return n
}

// loss says what is lost in what is stored against what was before one of the run; empty is nothing.
func (s *scene) loss(i int) string {
	before, ok := s.contents[s.run[i].before]
	if !ok || before == nil {
		return ""
	}
	return lossOf(before, objectOf(s.stored.object), s.policy)
}

// lossOf says whether a change takes away what a rescue is for: a protected principal, every admin, or every node
// role. The annotations of a change around the webhook overrule nothing: it is judged as nobody's, who may not.
func lossOf(before, after *awsauth.Object, policy validate.Policy) string {
	policy.Mode = validate.Enforce
	policy.Rules = map[string]validate.Severity{"protected-principal": validate.Deny, "last-admin": validate.Deny}
	c := validate.Change{Operation: validate.Update, Old: before, New: after}
	if after == nil {
		c.Operation = validate.Delete
	}
	var lost []string
	denied := validate.Judge(c, policy).Denied()
	if slices.Contains(denied, "protected-principal") {
		lost = append(lost, "a protected principal")
	}
	if slices.Contains(denied, "last-admin") {
		lost = append(lost, "every admin")
	}
	was, is := accessOf(before, policy), accessOf(after, policy)
	if nodes := was.nodes(); len(nodes) > 0 && len(is.nodes()) == 0 && !slices.ContainsFunc(nodes, is.declares) {
		lost = append(lost, "every node role")
	}
	return strings.Join(lost, ", ")
}

// permitted says why what was stored may be meant, or may have been admitted by a replica that has not said so.
func (s *scene) permitted(run []*sighting) error {
	// Also the newest: somebody may yet say that they have admitted it.
	if slices.ContainsFunc(run, func(v *sighting) bool { return v.how != history.Bypassed }) {
		return errPending
	}
	first, last := run[0], run[len(run)-1]
	if s.now.Sub(first.at) > maxAge {
		return errTooOld
	}
	for _, v := range run {
		if v.glass {
			return errors.New("aws-auth has the annotation that breaks the glass")
		}
		if isEKS(v.manager) {
			return fmt.Errorf("EKS has written it, as %s", v.manager)
		}
	}
	if s.interrupted { // also where its own word is that it has ended
		return errors.New("this process may not have been up for the API server all the time")
	}
	if s.damaged {
		return errors.New("what a replica has admitted cannot be read")
	}
	for _, name := range slices.Sorted(maps.Keys(s.replicas)) {
		r := s.replicas[name]
		err := attests(&r, run)
		if errors.Is(err, errNotCertain) && s.now.Sub(last.at) > s.patience {
			err = errors.New("it has not said that it was not asked")
		}
		if err != nil {
			return fmt.Errorf("the replica %s: %w", name, err)
		}
	}
	return nil
}

func breaksGlass(cm *corev1.ConfigMap) bool {
	return cm != nil && strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) != ""
}

// isEKS reports whether a field manager is EKS's. It writes aws-auth as vpcLambda (objects that people have
// published since 2020), and everything else as eks (EKS user guide, "Determine fields you can customize for
// Amazon EKS add-ons") or eks-internal. Whoever names their tool so is left alone.
func isEKS(manager string) bool {
	return manager == "vpcLambda" || manager == "eks" || manager == "eks-internal" || strings.HasPrefix(manager, "eks:")
}

// attests reports whether a replica was up for all of the versions and has been asked about none.
func attests(r *history.Replica, run []*sighting) error {
	if hasEnded(r, run[0]) {
		return nil
	}
	first := run[0].at.Add(-clocksDiffer)
	switch {
	case !r.Started.Before(first):
		return errors.New("it has started since, or anew")
	case r.Watching.IsZero() || !r.Watching.Before(first):
		return errors.New("it may not have been up for the API server all the time")
	case r.Lost.After(run[0].since()):
		return errors.New("it has lost count of what it admitted")
	}
	for _, v := range run {
		if asked(r, v) {
			return errors.New("it was asked about it")
		}
		if !doubts(r, v) {
			return errNotCertain
		}
	}
	return nil
}

// candidate is the newest version before the loss that nobody brought around the guard, unless it has itself lost
// something against what was stored before the loss; then an older one, unless what it lacks was brought around the
// guard, too. It is not judged anew: what stood with a fault for years is good enough, and against what is stored now
// the intruder's node roles would be taken away.
func (s *scene) candidate(start int) (history.Version, error) {
	first := s.run[start]
	before := s.contents[first.before]
	for _, v := range slices.Backward(s.versions) {
		if v.How == history.Bypassed || v.How == history.Pending || first.number != 0 && v.Number >= first.number {
			continue
		}
		if lossOf(before, v.Object(), s.policy) == "" {
			return v, nil
		}
		if start > 0 { // an earlier start tells
			break
		}
	}
	return history.Version{}, errNoCandidate
}
