#include "supervisor/config/toml.h"

#include <cerrno>
#include <cstdio>
#include <new>
#include <string>
#include <toml++/toml.h>

namespace
{

struct Walk {
	toml_row_fn row;
	void *arg;
};

bool
bare(std::string_view part)
{
	if (part.empty())
		return false;
	for (char c : part) {
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (!word)
			return false;
	}
	return true;
}

std::string
join(const std::string &path, std::string_view part)
{
	std::string key = path.empty() ? "" : path + ".";

	if (bare(part))
		return key.append(part);
	return key.append("\"").append(part).append("\"");
}

toml_row
row_of(
    const std::string &key, std::string_view name, const toml::node &node, bool item)
{
	toml_row row{};

	row.key = key.c_str();
	row.name = name.data(); /* of a std::string: a NUL follows */
	row.item = item;
	row.line = static_cast<unsigned>(node.source().begin.line);
	row.kind = TOML_OTHER;
	if (auto text = node.as_string()) {
		row.kind = TOML_TEXT;
		row.text = text->get().c_str();
		row.n = text->get().size();
	} else if (auto integer = node.as_integer()) {
		row.kind = TOML_INT;
		row.number = integer->get();
	} else if (auto boolean = node.as_boolean()) {
		row.kind = TOML_BOOL;
		row.number = boolean->get();
	} else if (node.is_table()) {
		row.kind = TOML_TABLE;
	} else if (node.is_array() && !item) {
		row.kind = TOML_LIST;
	}
	return row;
}

int walk_table(const Walk &w, const std::string &path, const toml::table &table);

int
walk_list(const Walk &w, const std::string &key, std::string_view name,
    const toml::array &list)
{
	for (const toml::node &node : list) {
		toml_row row = row_of(key, name, node, true);
		int r = w.row(w.arg, &row);
		if (!r && node.is_table())
			r = walk_table(w, key, *node.as_table());
		if (r)
			return r;
	}
	return 0;
}

int
walk_table(const Walk &w, const std::string &path, const toml::table &table)
{
	for (auto &&[name, node] : table) {
		std::string key = join(path, name.str());
		toml_row row = row_of(key, name.str(), node, false);
		row.line = static_cast<unsigned>(name.source().begin.line);
		int r = w.row(w.arg, &row);
		if (!r && node.is_table())
			r = walk_table(w, key, *node.as_table());
		if (!r && node.is_array())
			r = walk_list(w, key, name.str(), *node.as_array());
		if (r)
			return r;
	}
	return 0;
}

} // namespace

extern "C" int
toml_read(
    const char *text, size_t n, toml_row_fn row, void *arg, struct toml_refusal *out)
{
	*out = toml_refusal{};
	/* Nothing may leave here but a return value: the caller is C. */
	try {
		toml::table root = toml::parse(std::string_view(text, n));
		return walk_table(Walk{row, arg}, "", root);
	} catch (const toml::parse_error &error) {
		std::string why(error.description());
		snprintf(out->why, sizeof(out->why), "%s", why.c_str());
		out->line = static_cast<unsigned>(error.source().begin.line);
		return -EINVAL;
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	} catch (...) {
		snprintf(out->why, sizeof(out->why), "the TOML parser failed");
		return -EINVAL;
	}
}
