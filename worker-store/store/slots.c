#include "worker-store/store/slots.h"

#include <string.h>

struct share {
	unsigned flying;
	uint64_t turn;
};

static struct share
share_of(const struct slot_claim *v, size_t n, const char *namespace)
{
	struct share s = {0};

	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].namespace, namespace) != 0)
			continue;
		s.flying += v[i].flying;
		if (v[i].turn > s.turn)
			s.turn = v[i].turn;
	}
	return s;
}

int
slots_next(const struct slot_claim *v, size_t n, unsigned each, unsigned all)
{
	struct share best_share = {0};
	unsigned flying = 0;
	int best = -1;

	for (size_t i = 0; i < n; i++)
		flying += v[i].flying;
	if (flying >= all)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].waits || v[i].flying >= each)
			continue;
		struct share s = share_of(v, n, v[i].namespace);
		bool better = best < 0 || s.flying < best_share.flying;
		if (!better && s.flying == best_share.flying)
			better = s.turn != best_share.turn ? s.turn < best_share.turn
							   : v[i].id < v[best].id;
		if (better) {
			best = (int)i;
			best_share = s;
		}
	}
	return best;
}
