package monitor

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

const (
	// callTimeout limits the time for a task that calls the API server.
	callTimeout = 5 * time.Second
	// maxResumed limits the number of versions that resume reads.
	maxResumed = 2000
)

// ConfigMaps lists and watches the ConfigMaps of kube-system.
type ConfigMaps interface {
	List(ctx context.Context, options metav1.ListOptions) (*corev1.ConfigMapList, error)
	Watch(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error)
}

// resume reads the versions that were stored while this process did not run. It asks the API server for aws-auth at the
// resourceVersion of the newest good version of the history, and for all later versions. It uses only this resourceVersion of the
// history, so that the guard never restores the content of a forged history.
//
// The API server keeps versions for some minutes only. If it no longer has them, the monitor begins with the stored version, as after a
// gap.
func (m *Monitor) resume(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	versions, err := m.since(ctx)
	if err != nil {
		m.log.Info("cannot read the versions of aws-auth that were stored before this process started", "err", err.Error())
		return
	}
	m.mu.Lock()
	m.resumed = versions
	m.mu.Unlock()
}

// since returns aws-auth at the resourceVersion of the newest good version of the history, and all later versions. It reads them from
// the API server. It returns an error if one of them is not available.
func (m *Monitor) since(ctx context.Context) (versions []kube.Change[corev1.ConfigMap], err error) {
	log, err := m.o.History.Read(ctx)
	if err != nil {
		return nil, err
	}
	good, ok := log.NewestGood()
	if !ok {
		return nil, errors.New("the history holds no good version")
	}
	begin, err := m.list(ctx, good.ResourceVersion, metav1.ResourceVersionMatchExact)
	if err != nil {
		return nil, err
	}
	now, err := m.list(ctx, "", "")
	if err != nil {
		return nil, err
	}
	if begin == nil {
		return nil, fmt.Errorf("there was no aws-auth at the version %s", good.ResourceVersion)
	}
	versions = append(versions, kube.Change[corev1.ConfigMap]{Object: begin, Version: begin.ResourceVersion, Gap: true})
	if now != nil && now.ResourceVersion == begin.ResourceVersion {
		return versions, nil
	}
	watch, err := m.o.Past.Watch(ctx, onlyAWSAuth(good.ResourceVersion, ""))
	if err != nil {
		return nil, fmt.Errorf("watching aws-auth from the version %s: %w", good.ResourceVersion, err)
	}
	defer watch.Stop()
	for e := range watch.ResultChan() {
		cm, ok := e.Object.(*corev1.ConfigMap)
		if !ok || len(versions) == maxResumed {
			break
		}
		c := kube.Change[corev1.ConfigMap]{Object: cm, Version: cm.ResourceVersion}
		if e.Type == apiwatch.Deleted {
			c.Object = nil
		}
		versions = append(versions, c)
		if now == nil && c.Object == nil || now != nil && now.ResourceVersion == c.Version {
			return versions, nil
		}
	}
	return nil, fmt.Errorf("the API server does not show every version since %s", good.ResourceVersion)
}

// list returns aws-auth at a resourceVersion, or nil if aws-auth did not exist then. An empty version means the present one.
func (m *Monitor) list(ctx context.Context, version string, match metav1.ResourceVersionMatch) (*corev1.ConfigMap, error) {
	list, err := m.o.Past.List(ctx, onlyAWSAuth(version, match))
	if err != nil {
		return nil, fmt.Errorf("reading aws-auth at the version %q: %w", version, err)
	}
	for i := range list.Items {
		if list.Items[i].Name == awsauth.Name {
			return &list.Items[i], nil
		}
	}
	return nil, nil //nolint:nilnil // none
}

func onlyAWSAuth(version string, match metav1.ResourceVersionMatch) metav1.ListOptions {
	return metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, awsauth.Name).String(),
		ResourceVersion: version, ResourceVersionMatch: match,
	}
}

// follows reports whether the last resumed version is the version of c, the first change from the watch. If it is, no version is
// missing between the resumed versions and the watch. The caller holds the lock.
func (m *Monitor) follows(c kube.Change[corev1.ConfigMap]) bool {
	if len(m.resumed) == 0 {
		return false
	}
	last := m.resumed[len(m.resumed)-1]
	if c.Object == nil {
		return last.Object == nil
	}
	return last.Object != nil && last.Version == c.Version
}
